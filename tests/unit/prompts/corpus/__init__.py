"""Sentences that must be refused and sentences that must pass, by language."""

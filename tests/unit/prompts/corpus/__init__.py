"""Sentences that must be refused and sentences that must be accepted, by language."""

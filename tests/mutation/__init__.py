"""Mutation testing of the rule modules: `make mutation`."""

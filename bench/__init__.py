"""Benchmark of the platform beside its alternatives: `make bench`."""

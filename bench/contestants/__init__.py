"""Contestants: one durable job in several implementations, on the same servers."""

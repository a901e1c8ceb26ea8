"""The pure rules of an attempt: no I/O, no clock, no client library."""

"""Providers for one machine: each speaks its real counterpart's protocol and can be told to misbehave."""

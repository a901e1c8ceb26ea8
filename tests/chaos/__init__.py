"""Breaks a running platform on purpose, and checks afterwards that nothing was lost or doubled."""

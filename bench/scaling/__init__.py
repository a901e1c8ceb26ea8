"""Scaling model: docs/scaling.md computed from measured costs and stated assumptions."""

"""A model on paper of how the platform scales: measured costs and stated assumptions → docs/scaling.md."""

"""What the platform costs and carries, beside what a user would pick instead: `make bench`."""

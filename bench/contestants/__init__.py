"""The same durable job, done in several ways, on the same servers."""

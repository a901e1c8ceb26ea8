"""HTTP: the server of each process, errors as problems, request rules, and one client."""

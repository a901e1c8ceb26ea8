"""Provider simulators: each speaks its provider's real wire protocol and injects faults on request."""

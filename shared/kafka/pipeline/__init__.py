"""The middlewares between a consumer and a handler, from the outside in.

    pausing → telemetry → dead letters → bounded retry → publish then commit → handler

Each is a FastStream middleware with one task. What fails inside is raised to the next one outside, until
one of them knows the reaction: a transient error is retried, a message that cannot be handled becomes a
dead letter, and a partition that still fails is paused and read again.
"""

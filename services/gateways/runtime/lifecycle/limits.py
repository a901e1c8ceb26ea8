"""Limits and intervals of one provider."""

from dataclasses import dataclass

MAX_IN_MEMORY = 40_000
"""See `ProviderLimits.max_in_memory`: well above the number of submissions one provider has in flight."""


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """Limits for the use of one provider. Times are in seconds."""

    slots: int = 64
    """Maximum number of submissions in flight at the provider, over all processes."""
    submits_per_second: float | None = None
    """Maximum rate over all processes; None means no limit."""
    max_in_memory: int = MAX_IN_MEMORY
    """Maximum number of attempts held by one process; further commands stay on the broker."""
    first_poll_interval: float = 0.01
    min_poll_interval: float = 0.0
    """Raised by the reconciler under load, when the provider's list shows which submissions ended."""
    max_poll_interval: float = 2.0
    max_poll_interval_streaming: float = 5.0
    """Replaces `max_poll_interval` while the provider streams the end of a submission."""
    polls_per_second: float = 200.0
    """Number of single polls per second above which one process lists the provider's submissions instead."""
    submit_timeout: float = 20.0
    lease_seconds: float = 10.0
    """Lifetime of a process's lease. A request of an expired owner may arrive at the provider this late."""
    grace_period: float = 120.0
    """How long an unknown outcome may still be reported by a provider without a lookup, and how long a
    provider must keep answering "not found" before an attempt counts as lost."""
    resubmit_unknown: bool = True
    """Allow a retry after an outcome stayed unknown. Both submissions may be billed."""
    takeover_patience: float = 10.0
    """How long our own lease must have been valid before another process is marked as expired."""
    max_submit_tries: int = 4
    max_retry_after: float = 5.0
    """Longest pause requested by the provider that is waited for when an alternative provider exists."""
    overdue_after: float = 60.0
    """How long after its deadline an attempt is given up when the provider does not end it."""
    reconcile_interval: float = 30.0
    """Seconds between comparisons of the ledger with the provider's inventory."""

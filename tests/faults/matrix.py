"""The fault matrix: every row, one provider after the other, and what must be in it."""

from contracts.base import PROVIDERS, Provider
from tests.faults import cancelling, following, outputs, submitting, webhooks

KINDS = (submitting, following, webhooks, outputs, cancelling)
MATRIX = tuple(
    row for provider in PROVIDERS for kind in KINDS for row in kind.ROWS if row.provider == provider
)

REQUIRED = (
    "connect refused",
    "timeout before send",
    "timeout after send, accepted",
    "timeout after send, not accepted",
    "401",
    "404",
    "422",
    "429, Retry-After 1 s",
    "500, not accepted",
    "500, accepted",
    "503, Retry-After 0 s",
    "malformed JSON, accepted",
    "truncated body, accepted",
    "slow stream, accepted",
    "50 MB body, accepted",
    "redirect to another host",
    "200 with node_errors",
    "job fails for good",
    "COMPLETED, result 404",
    "result is null",
    "result is empty",
    "restart, memory lost",
    "poll: 500",
    "poll: 404",
    "poll: 429",
    "poll: malformed JSON",
    "poll: truncated body",
    "poll: timeout",
    "poll: slow stream",
    "poll: 50 MB body",
    "poll: redirect to another host",
    "webhook twice",
    "webhook before the submit answer",
    "webhook with a bad signature",
    "webhook with a null payload",
    "output: URL gone",
    "output: slow stream",
    "output: 50 MB",
    "output: corrupt pixels",
    "output: wrong size",
    "output: redirect to another host",
    "cancel before the command",
    "cancel in the provider's queue",
    "cancel while running",
    "cancel after the end",
)
"""Every fault that a provider must have a row for, unless it cannot happen there."""

IMPOSSIBLE: tuple[tuple[Provider, str, str], ...] = (
    ("modal", "200 with node_errors", "a workflow's errors come as a failed result, after it ran"),
    ("fal", "200 with node_errors", "it runs models, not workflows"),
    ("modal", "COMPLETED, result 404", "the state and the result are one answer"),
    ("comfyui", "COMPLETED, result 404", "the state and the result are one answer"),
    ("comfyui", "poll: 404", "its queue and its history are always there"),
    ("modal", "webhook", "our application calls nobody: it is polled"),
    ("comfyui", "webhook", "a server calls nobody: its websocket only hints"),
)
"""Where a fault, or all whose names begin so, cannot happen, and why."""


def missing() -> list[str]:
    """Required rows that are neither there nor impossible."""
    there = {(row.provider, row.fault.name) for row in MATRIX}
    return [
        f"{provider}: {name}"
        for provider in PROVIDERS
        for name in REQUIRED
        if (provider, name) not in there
        and not any(provider == at and name.startswith(fault) for at, fault, _ in IMPOSSIBLE)
    ]

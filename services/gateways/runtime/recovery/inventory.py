"""Pure rules of reconciliation: the provider's inventory against our attempts and the ledger."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.gateways.runtime.lifecycle.limits import ProviderLimits

JUST_ENDED = timedelta(seconds=5)
"""How long the provider may still list a submission after the gateway has ended its attempt."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The unfinished submissions at the provider, by id, as of a time before it was asked."""

    ids: frozenset[str]
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Drift:
    """Differences between the inventory and the ledger; each is a reason to check, not a status."""

    orphans: frozenset[str]
    """Ended for us, and unfinished at the provider."""
    unknown_ids: frozenset[str]
    """Ids of our kind that the ledger does not have: never touched."""


def load_interval(in_flight: int, limits: ProviderLimits) -> float:
    """Return the minimum interval between single polls under load, or 0 if each attempt can be polled.

    One list of all submissions costs less than a poll of each one.
    """
    interval = in_flight / limits.polls_per_second
    return interval if interval > limits.max_poll_interval else 0.0


def missing(sent: Collection[str], inventory: Inventory) -> frozenset[str]:
    """Return the submissions that have ended or are lost: sent before the question, and not listed."""
    return frozenset(sent) - inventory.ids


def drift(inventory: Inventory, sent: Collection[str], finished_at: Mapping[str, datetime | None]) -> Drift:
    """Compare the listed ids that this process did not send with the ledger.

    Args:
        finished_at: end of each attempt that the ledger has among these ids; None for open ones.
    """
    others = inventory.ids - set(sent)
    long_ago = inventory.asked_at - JUST_ENDED
    ended = {each for each, at in finished_at.items() if at is not None and at <= long_ago}
    return Drift(
        orphans=others & ended,
        unknown_ids=frozenset(each for each in others - finished_at.keys() if is_of_our_kind(each)),
    )


def is_of_our_kind(provider_id: str) -> bool:
    """Return whether a gateway could have made this id (`idempotency_key_of`): a UUID of version 5."""
    try:
        known = UUID(provider_id)
    except ValueError:
        return False
    return known.version == 5 and str(known) == provider_id

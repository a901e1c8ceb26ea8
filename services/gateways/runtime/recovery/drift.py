"""What is in flight for us against what the provider has in hand → what is to be looked at. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

STILL_ENDING = timedelta(seconds=5)
"""What has just ended for us may be on its way out at the provider."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Ids as the provider knows them."""

    gone: frozenset[str]
    """Sent by us, and not in its hands: ended or lost."""
    orphans: frozenset[str]
    """Ended for us, and in its hands."""
    unknown_ids: frozenset[str]
    """In its hands under an id such as ours, and in no ledger that we can read: never touched."""


def compare(
    sent: Collection[str],
    there: Collection[str],
    ends: Mapping[str, datetime | None],
    asked_at: datetime,
) -> Drift:
    """Tell what does not fit.

    Args:
        sent: what this process has sent, as of before the provider was asked.
        there: what the provider has in hand.
        ends: when the ledger's other attempts among these ended; None for those that are open.
        asked_at: when the provider was asked.
    """
    others = set(there) - set(sent)
    over = {each for each, at in ends.items() if at is not None and at <= asked_at - STILL_ENDING}
    return Drift(
        gone=frozenset(set(sent) - set(there)),
        orphans=frozenset(others & over),
        unknown_ids=frozenset(each for each in others - ends.keys() if is_of_our_kind(each)),
    )


def is_of_our_kind(provider_id: str) -> bool:
    """Whether an id could be one that a gateway made (`our_id_of`): people's own have another version."""
    try:
        known = UUID(provider_id)
    except ValueError:
        return False
    return known.version == 5 and str(known) == provider_id

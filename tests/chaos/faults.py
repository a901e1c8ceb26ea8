"""What a run may be found guilty of."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "lost",
    "unfinished",
    "wrong_end",
    "ended_twice",
    "stalled_chain",
    "stuck",
    "dead_letter",
    "seq_gap",
    "event_changed",
    "missing_asset",
    "bad_asset",
    "duplicate_asset",
    "orphan_object",
    "unexplained_submission",
    "missing_notification",
    "changed_notification",
    "unordered_notification",
    "stray_notification",
    "bad_signature",
    "bad_answer",
    "memory",
    "run",
]
LOST: tuple[Kind, ...] = ("lost", "unfinished", "wrong_end", "stalled_chain")
"""What the last line of a run counts as lost: a request that had no end, or not the one it should."""


@dataclass(frozen=True)
class Fault:
    """A promise that was not kept: which, and where. `run`: the run itself did not do its work."""

    kind: Kind
    where: str
    what: str

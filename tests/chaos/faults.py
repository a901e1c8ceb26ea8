"""Kinds of faults that the checker reports."""

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
"""Kinds that the last line of a run counts as lost: no outcome, or the wrong one."""


@dataclass(frozen=True)
class Fault:
    """A broken promise and its place. Kind `run`: the run itself was incomplete."""

    kind: Kind
    where: str
    what: str

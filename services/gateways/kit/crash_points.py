"""Marked points in the life of an attempt at which a test kills this process, as by `kill -9`.

IMAGEGEN_CRASH_AT names one of them, in tests only; without it a point is one comparison.
"""

import os
import signal
from typing import Literal, get_args

from shared.errors import StartupError

CrashPoint = Literal[
    "after_accept",  # the command is in the ledger, its offset is not committed
    "before_intent",  # the request is prepared, and no other intent written than one with the command
    "after_intent",  # the intent is written, nothing is sent
    "after_send",  # the provider answers, and the answer is not read
    "after_answer",  # the answer is read, the submission ref is not written
    "after_ref_saved",  # the submission ref is written
    "after_lookup",  # a lost submission is found, its ref is not written
    "while_polling",  # the provider works on it
    "before_end",  # the provider has ended it, which is not written
    "after_publish",  # the success is published and not written
    "after_end",  # the end is written, and the process had more to do
    "during_takeover",  # an expired owner's attempts are taken over, and nothing was done for them
]

VARIABLE = "IMAGEGEN_CRASH_AT"
_armed = os.environ.get(VARIABLE, "")


def crash_point(point: CrashPoint) -> None:
    """Kill this process, if a test asks for it."""
    if point == _armed:
        os.kill(os.getpid(), signal.SIGKILL)


def refuse_unknown_point() -> None:
    """Check the variable's value when a process starts.

    Raises:
        StartupError: there is no such point.
    """
    if _armed and _armed not in get_args(CrashPoint):
        points = ", ".join(get_args(CrashPoint))
        raise StartupError(f"{VARIABLE}={_armed}: unknown crash point; choose one of {points}")

"""Marked points on an attempt's way at which a test has this process die, as by `kill -9`.

IMAGEGEN_CRASH_AT names one of them, in tests only; where it is unset a point is one comparison.
"""

import os
import signal
from typing import Literal, get_args

from shared.errors import StartupError

CrashPoint = Literal[
    "after_intake",  # the command is in the ledger, its offset is not committed
    "before_intent",  # the request is prepared, and no other intent written than one with the command
    "after_intent",  # the intent is written, nothing is sent
    "after_send",  # the provider answers, and the answer is not read
    "after_answer",  # the answer is read, the handle is not written
    "after_handle",  # the handle is written
    "after_finding",  # a lost submission is found again, its handle is not written
    "while_polling",  # the provider works on it
    "before_end",  # the provider has ended it, which is not written
    "after_said",  # the success is said and not written
    "after_end",  # the end is written, and the process had more to do
    "during_takeover",  # a dead process's attempts are this one's, which has not begun with them
]

VARIABLE = "IMAGEGEN_CRASH_AT"
_armed = os.environ.get(VARIABLE, "")


def crash_point(point: CrashPoint) -> None:
    """Die here, if a test wants it."""
    if point == _armed:
        os.kill(os.getpid(), signal.SIGKILL)


def refuse_unknown_point() -> None:
    """Look at the variable's value, when a process starts.

    Raises:
        StartupError: there is no such point.
    """
    if _armed and _armed not in get_args(CrashPoint):
        raise StartupError(f"{VARIABLE}={_armed}: no such point; there are {', '.join(get_args(CrashPoint))}")

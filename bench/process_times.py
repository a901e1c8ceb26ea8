"""CPU seconds and memory of process trees, from /proc."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PPID, UTIME, STIME, CUTIME, CSTIME = 1, 11, 12, 13, 14
"""Positions after the name in /proc/<pid>/stat. Times of children count once they are reaped."""


def tree(root: int) -> list[int]:
    """Return the ids of a process and its descendants."""
    parents = {int(each): _stat(int(each)) for each in os.listdir("/proc") if each.isdigit()}
    found = [root]
    for pid in found:
        found += [child for child, stat in parents.items() if stat and int(stat[PPID]) == pid]
    return found


def cpu_seconds(root: int) -> float:
    """Return the CPU time of a process, its living descendants and those that they have reaped."""
    ticks = 0
    for pid in tree(root):
        if stat := _stat(pid):
            ticks += sum(int(stat[field]) for field in (UTIME, STIME, CUTIME, CSTIME))
    return ticks / TICKS


def memory_bytes(root: int) -> int:
    """Return the resident memory of a process and its descendants; shared pages count for each."""
    total = 0
    for pid in tree(root):
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    return total


class CpuClock:
    """CPU seconds of named process groups since its creation."""

    def __init__(self, groups: Mapping[str, int]) -> None:
        self._groups = dict(groups)
        self._start = {name: cpu_seconds(pid) for name, pid in self._groups.items()}

    def seconds(self) -> dict[str, float]:
        """Return the CPU seconds by group."""
        return {name: cpu_seconds(pid) - self._start[name] for name, pid in self._groups.items()}


def _stat(pid: int) -> list[str] | None:
    """Return the fields after the process's name, which may contain spaces."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None

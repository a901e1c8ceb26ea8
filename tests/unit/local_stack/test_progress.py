"""Progress lines of `up`: each process that becomes ready, and after a while the missing ones."""

from deploy.local.progress import QUIET_SECONDS, Progress
from deploy.local.state import ProcessState, StackState


class Watched:
    """A starting stack, its clock, and its progress lines."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.progress = Progress(self.lines.append, lambda process: " (joining)", lambda: self.now)

    def after(self, seconds: float, **ready: bool) -> list[str]:
        """Return the lines that appear after this time with these processes."""
        self.now += seconds
        before = len(self.lines)
        processes = {
            name: ProcessState(kind="service", address=f"http://{name}", pid=1, ready=up, restarts=0)
            for name, up in ready.items()
        }
        self.progress.show(StackState(phase="starting", processes=processes))
        return self.lines[before:]


def test_each_process_has_a_line_when_it_becomes_ready() -> None:
    up = Watched()
    assert up.after(1.0, kafka=True, api=False) == ["kafka is ready at http://kafka (after 1.0 s)"]
    assert up.after(0.5, kafka=True, api=False) == []
    assert up.after(0.5, kafka=True, api=True) == ["api is ready at http://api (after 2.0 s)"]


def test_after_some_quiet_seconds_the_missing_processes_are_named_with_their_reason() -> None:
    up = Watched()
    up.after(1.0, kafka=True, api=False)
    assert up.after(QUIET_SECONDS, kafka=True, api=False) == ["waiting for api (joining) (6 s so far)"]
    assert up.after(1.0, kafka=True, api=False) == []


def test_the_wait_for_the_first_process_is_shown() -> None:
    assert Watched().after(QUIET_SECONDS) == ["waiting for the first process (5 s so far)"]

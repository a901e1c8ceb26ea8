"""Jobs on the terminal: bars while they run, one line each when they end."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clients.cli.following import Followed, Picture
from clients.cli.outcome import delivered_text, time_text

COLOURS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "pending": "dim",
    "done": "green",
    "storing": "blue",
    "queued": "yellow",
    "waiting": "dim",
}
NAMES = {
    "base_image": "base image",
    "character_sheet": "character sheet",
    "studio": "studio",
    "profile_pictures": "profile pictures",
    "lora_training": "LoRA training",
}
BAR_WIDTH = 28


class _Redrawn:
    """Asks for its content each time that it is drawn, so that clocks go on."""

    def __init__(self, draw: Callable[[], RenderableType]) -> None:
        self._draw = draw

    def __rich__(self) -> RenderableType:
        return self._draw()


@contextmanager
def live(console: Console, draw: Callable[[], RenderableType]) -> Iterator[None]:
    """Show what `draw` gives, redrawn some times a second; nothing where there is no terminal."""
    if not console.is_terminal:
        yield
        return
    with Live(_Redrawn(draw), console=console, refresh_per_second=8, redirect_stdout=False):
        yield


def job_with_images(job: Followed) -> RenderableType:
    """One job: a line of its own, and a bar for each image."""
    table = Table.grid(padding=(0, 2))
    for index, picture in sorted(job.pictures.items()):
        table.add_row(
            Text(f"  {picture.label or index + 1}"),
            Text(picture.state, COLOURS[picture.state]),
            _bar(picture.share, picture.state, pulse=picture.state == "running" and picture.percent is None),
            Text(_detail(picture), "dim"),
        )
    return Group(_headline(job), table)


def jobs_with_bars(jobs: Iterable[tuple[str, Followed]]) -> RenderableType:
    """Many jobs: one line each."""
    table = Table.grid(padding=(0, 2))
    for title, job in jobs:
        table.add_row(
            Text(title),
            Text(job.status, COLOURS[job.status]),
            _bar(job.share, "done" if job.status == "completed" else job.status),
            Text(delivered_of(job)),
            Text(seconds_of(job), "dim"),
        )
    return table


def one_line(title: str, job: Followed) -> str:
    """A job that ended, for logs and pipes."""
    why = f"  {job.error}" if job.error else ""
    return f"{title}: {job.status}, {delivered_of(job)}, {seconds_of(job)}{why}"


def delivered_of(job: Followed) -> str:
    """Return how much of its result a job has."""
    return delivered_text(job.type, job.delivered, job.requested, ended=job.ended)


def seconds_of(job: Followed) -> str:
    """Return measured time and target."""
    return time_text(job.seconds, job.waited_seconds, job.target_seconds, job.phase)


def _headline(job: Followed) -> Text:
    what = f"{job.status} · {job.phase.replace('_', ' ')}" if job.phase else job.status
    return Text.assemble(
        (NAMES[job.type], "bold"),
        f"  {job.job_id}  ",
        (what, COLOURS[job.status]),
        f"  {delivered_of(job)}  {seconds_of(job)}",
    )


def _bar(share: float, state: str, *, pulse: bool = False) -> ProgressBar:
    colour = COLOURS[state]
    return ProgressBar(
        100,
        100 * share,
        width=BAR_WIDTH,
        pulse=pulse,
        style="grey30",
        complete_style=colour,
        finished_style=colour,
        pulse_style=colour,
    )


def _detail(picture: Picture) -> str:
    if picture.error:
        return picture.error
    if picture.state == "queued" and picture.queue_position is not None:
        return f"{picture.queue_position} before it" if picture.queue_position else "next in the queue"
    if picture.state == "running" and picture.percent is not None:
        return f"{picture.percent} %"
    return ""

"""Display of running jobs on a terminal: progress bars, and one line per ended job."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clients.cli.job_progress import ImageProgress, JobProgress
from clients.cli.wording import COLOURS, TYPE_NAMES, delivered_text, time_text

BAR_WIDTH = 28


class _Redrawn:
    """Renders its content again on each refresh, which keeps clocks running."""

    def __init__(self, draw: Callable[[], RenderableType]) -> None:
        self._draw = draw

    def __rich__(self) -> RenderableType:
        return self._draw()


@contextmanager
def live(console: Console, draw: Callable[[], RenderableType]) -> Iterator[None]:
    """Display the result of `draw`, refreshed 8 times a second; without a terminal, display nothing."""
    if not console.is_terminal:
        yield
        return
    with Live(_Redrawn(draw), console=console, refresh_per_second=8, redirect_stdout=False):
        yield


def job_with_images(job: JobProgress) -> RenderableType:
    """Return a headline for the job and a progress bar for each image."""
    table = Table.grid(padding=(0, 2))
    for index, image in sorted(job.images.items()):
        table.add_row(
            Text(f"  {image.label or index + 1}"),
            Text(image.state, COLOURS[image.state]),
            _bar(image.share, image.state, pulse=image.state == "running" and image.percent is None),
            Text(_detail(image), "dim"),
        )
    return Group(_headline(job), table)


def jobs_with_bars(jobs: Iterable[tuple[str, JobProgress]]) -> RenderableType:
    """Return one line with a progress bar for each job."""
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


def one_line(title: str, job: JobProgress) -> str:
    """Return the result of a job as one line of text."""
    error = f"  {job.error}" if job.error else ""
    return f"{title}: {job.status}, {delivered_of(job)}, {seconds_of(job)}{error}"


def delivered_of(job: JobProgress) -> str:
    """Return the delivered part of a job."""
    return delivered_text(job.type, job.delivered, job.requested, ended=job.ended)


def seconds_of(job: JobProgress) -> str:
    """Return the measured time and the target."""
    return time_text(job.seconds, job.waited_seconds, job.target_seconds, job.phase)


def _headline(job: JobProgress) -> Text:
    state = f"{job.status} · {job.phase.replace('_', ' ')}" if job.phase else job.status
    return Text.assemble(
        (TYPE_NAMES[job.type], "bold"),
        f"  {job.job_id}  ",
        (state, COLOURS[job.status]),
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


def _detail(image: ImageProgress) -> str:
    if image.error:
        return image.error
    if image.state == "queued" and image.queue_position is not None:
        return f"{image.queue_position} ahead in the queue" if image.queue_position else "next in the queue"
    if image.state == "running" and image.percent is not None:
        return f"{image.percent} %"
    return ""

"""SVG plots of the results, each for light and for dark pages."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.figures import rates
from bench.latency import ALONE
from bench.markdown import text
from bench.results import Results
from bench.tables import NAMES


@dataclass(frozen=True)
class Theme:
    """Colours of a page."""

    name: str
    ink: str
    faint: str
    ours: str
    others: str


THEMES: Final = (
    Theme("light", ink="#1f2328", faint="#d1d9e0", ours="#0969da", others="#8c959f"),
    Theme("dark", ink="#e6edf3", faint="#3d444d", ours="#4493f8", others="#6e7681"),
)
SIZE: Final = (7.2, 3.0)

Draw = Callable[[Any, Results, Theme], None]


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Write one file per plot and theme; an unmeasured part has none."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _write(draw, results, theme, folder / f"{name}-{theme.name}.svg")
        for name, (draw, measured) in PLOTS.items()
        if measured(results)
        for theme in THEMES
    ]


def _write(draw: Draw, results: Results, theme: Theme, path: Path) -> Path:
    with _style(theme):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        draw(axes, results, theme)
        axes.spines[["top", "right", "left"]].set_visible(False)
        figure.savefig(path, transparent=True, metadata={"Date": None})
    return path


@contextmanager
def _style(theme: Theme) -> Iterator[None]:
    colours = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), theme.ink)
    fixed = {"axes.edgecolor": theme.faint, "grid.color": theme.faint, "font.family": "DejaVu Sans"}
    settings: dict[Any, Any] = {**colours, **fixed, "ytick.left": False, "svg.hashsalt": "bench"}
    with mpl.rc_context(settings):
        yield


def throughput(axes: Any, results: Results, theme: Theme) -> None:
    """Plot a bar for each contestant, with the spread of its rounds."""
    names = list(dict.fromkeys(each.contestant for each in results.rounds))[::-1]
    found = [rates(results.rounds, name) for name in names]
    medians = [statistics.median(each) for each in found]
    spread = [
        [middle - min(each) for middle, each in zip(medians, found, strict=True)],
        [max(each) - middle for middle, each in zip(medians, found, strict=True)],
    ]
    colours = [theme.ours if name == "ours" else theme.others for name in names]
    labels = [NAMES[name] for name in names]
    axes.barh(labels, medians, color=colours, xerr=spread, ecolor=theme.ink, capsize=3, height=0.62)
    for position, value in enumerate(medians):
        axes.text(max(found[position]), position, f"  {text(value)}", va="center")
    axes.set_xlabel("images per second (median; lines: slowest and fastest round)")
    axes.margins(x=0.12)


def latency(axes: Any, results: Results, theme: Theme) -> None:
    """Plot the latency of one job at a time, from p50 to p99."""
    found = [each for each in results.latency if each.load == ALONE][::-1]
    labels = [NAMES[each.contestant] for each in found]
    for position, each in enumerate(found):
        colour = theme.ours if each.contestant == "ours" else theme.others
        axes.plot([each.times.p50, each.times.p99], [position, position], color=colour, linewidth=3)
        axes.plot([each.times.p50], [position], "o", color=colour, markersize=9)
        axes.plot([each.times.p99], [position], "|", color=colour, markersize=14, markeredgewidth=3)
        axes.text(
            each.times.p99, position, f"   {text(each.times.p50)} / {text(each.times.p99)}", va="center"
        )
    axes.set_yticks(range(len(found)), labels)
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.set_xlim(0, 1.2 * max(each.times.p99 for each in found))
    axes.set_xlabel("ms from request to notification, one at a time (dot p50, bar p99)")


def scale_out(axes: Any, results: Results, theme: Theme) -> None:
    """Plot images per second against processes."""
    found = results.scale_out
    places = [each.processes_each for each in found]
    axes.plot(places, [each.images_per_s for each in found], "o-", color=theme.ours)
    axes.set_xticks(places)
    axes.set_ylim(0, 1.15 * max(each.images_per_s for each in found))
    axes.grid(axis="y")
    axes.set_xlabel("processes of each service")
    axes.set_ylabel("images per second")


def growth(axes: Any, results: Results, theme: Theme) -> None:
    """Plot the cost of a job against the number of finished ones."""
    found = results.growth
    axes.plot([each.finished_jobs for each in found], [each.cpu_ms for each in found], "o-", color=theme.ours)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.15 * max(each.cpu_ms for each in found))
    axes.grid(axis="y")
    axes.set_xlabel("finished jobs in the stores")
    axes.set_ylabel("CPU ms per image")


PLOTS: Final[dict[str, tuple[Draw, Callable[[Results], object]]]] = {
    "throughput": (throughput, lambda results: results.rounds),
    "latency": (latency, lambda results: results.latency),
    "growth": (growth, lambda results: results.growth),
    "scale_out": (scale_out, lambda results: results.scale_out),
}

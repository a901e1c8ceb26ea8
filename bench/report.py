"""results.json → tables and plots in docs/."""

from pathlib import Path
from typing import Final

from bench.plots import write_plots
from bench.results import Results
from bench.scaling.costs import costs_of
from bench.scaling.tables import write_scaling
from bench.tables import write_aside, write_tables

DOCS: Final = Path(__file__).parents[1] / "docs"


def write_report(results: Results, docs: Path = DOCS) -> None:
    """Write what was measured into docs/performance.md and beside it; docs/scaling.md follows from it.

    With a faster MongoDB server it is an aside.
    """
    if results.machine.faster_mongo:
        write_aside(results, docs / "performance.md")
        return
    write_tables(results, docs / "performance.md")
    write_plots(results, docs / "images" / "performance")
    if costs_of(results):
        write_scaling(results, docs / "scaling.md")

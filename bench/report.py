"""Report of the results: tables and plots in docs/."""

from pathlib import Path
from typing import Final

from bench.plots import write_plots
from bench.results import Results
from bench.scaling.costs import costs_of
from bench.scaling.tables import write_scaling
from bench.tables import write_faster_mongo, write_tables

DOCS: Final = Path(__file__).parents[1] / "docs"


def write_report(results: Results, docs: Path = DOCS) -> None:
    """Write the results into docs/performance.md, its plots, and docs/scaling.md, which depends on them.

    Results with a faster MongoDB server go into a separate section.
    """
    if results.machine.faster_mongo:
        write_faster_mongo(results, docs / "performance.md")
        return
    write_tables(results, docs / "performance.md")
    write_plots(results, docs / "images" / "performance")
    if costs_of(results):
        write_scaling(results, docs / "scaling.md")

"""Write docs/scaling.md from measured costs and assumptions: python -m bench.scaling"""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from bench.results import NAME, Results
from bench.scaling.tables import write_scaling

PAGE: Final = Path(__file__).parents[2] / "docs" / "scaling.md"


def main(
    results: Annotated[Path, typer.Option(help="results of a run of make bench")] = Path("out/bench") / NAME,
) -> None:
    """Write the tables of docs/scaling.md."""
    found = Results.model_validate_json(results.read_text()) if results.exists() else None
    if found is None:
        sys.stderr.write(
            f"{results} does not exist; make bench writes it. The page says that costs are not measured.\n"
        )
    write_scaling(found, PAGE)


if __name__ == "__main__":
    typer.run(main)

"""Check the language of docstrings, comments, log events and test names.

`python -m tests.language` checks the repository except the path prefixes that pyproject.toml lists under
`[tool.language] not_rewritten`; `python -m tests.language PATH...` checks these paths, listed or not.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.language.source import violations

ROOT = Path(__file__).parents[2]
GENERATED = {"build", "out"}


def python_files(root: Path) -> Iterator[Path]:
    """Yield the Python files below a folder, or the file itself; hidden and generated folders are skipped."""
    if root.is_file():
        yield root
        return
    for path in sorted(root.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path.name not in GENERATED:
            yield from python_files(path)
        elif path.suffix == ".py":
            yield path


def not_rewritten(root: Path) -> list[str]:
    """Return the path prefixes that pyproject.toml exempts, relative to the repository."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return list(settings["tool"].get("language", {}).get("not_rewritten", []))


def report(root: Path, paths: list[Path]) -> list[str]:
    """Return one line per violation below `paths`; it begins with the path of the file."""
    return [
        f"{path.relative_to(root).as_posix()}:{violation.line}: {violation.problem}"
        for start in paths
        for path in python_files(start)
        for violation in violations(path.read_text(encoding="utf-8"))
    ]


def unneeded(exempt: list[str], lines: list[str]) -> list[str]:
    """Return the exempt prefixes under which none of the reported violations lies."""
    return [prefix for prefix in exempt if not any(line.startswith(prefix) for line in lines)]


def main() -> int:
    """Print the violations; return 1 if there are any that are not exempt."""
    named = [Path(argument).resolve() for argument in sys.argv[1:]]
    exempt = [] if named else not_rewritten(ROOT)
    found = report(ROOT, named or [ROOT])
    lines = [line for line in found if not line.startswith(tuple(exempt))]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.writelines(
        f"note: {prefix} has no violation; remove it from [tool.language] in pyproject.toml\n"
        for prefix in unneeded(exempt, found)
    )
    if lines:
        sys.stdout.write(f"{len(lines)} violations of the language rules in CONTRIBUTING.md\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

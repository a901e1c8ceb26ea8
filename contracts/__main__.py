"""Write the schemas, the AsyncAPI document and the checksums: `python -m contracts`.

With `--check`, write nothing and list the stale files.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts.publish import documents

ROOT = Path(__file__).parent
SUMS = "examples/SHA256SUMS"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Return 1 if a file is stale (`--check`) or a published example was changed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m contracts", description="Publish the contracts.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    check = parser.parse_args(arguments).check
    differing = stale(root) if check else write(root)
    changed = changed_examples(root)
    for path in differing:
        sys.stdout.write(f"{'stale' if check else 'written'}: contracts/{path}\n")
    for name in changed:
        sys.stdout.write(f"published, must not change: contracts/examples/{name}\n")
    return 1 if changed or (check and differing) else 0


def stale(root: Path = ROOT) -> list[str]:
    """Return the generated files that are missing, outdated, or belong to no message."""
    return _differing(root, _files(root))


def write(root: Path = ROOT) -> list[str]:
    """Update the generated files and return the ones that changed."""
    texts = _files(root)
    differing = _differing(root, texts)
    for path in differing:
        if path in texts:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(texts[path], encoding="utf-8")
        else:
            (root / path).unlink()
    return differing


def changed_examples(root: Path = ROOT) -> list[str]:
    """Return the published examples that were removed or edited."""
    listed = (line.split("  ") for line in _read(root / SUMS).splitlines())
    return [name for digest, name in listed if _digest(root / "examples" / name) != digest]


def _files(root: Path) -> dict[str, str]:
    return documents() | {SUMS: _sums(root)}


def _sums(root: Path) -> str:
    """Return the checksum list: existing lines unchanged, new examples appended."""
    listed = _read(root / SUMS)
    names = {line.split("  ")[1] for line in listed.splitlines()}
    new = (path for path in sorted(root.glob("examples/*.json")) if path.name not in names)
    return listed + "".join(f"{_digest(path)}  {path.name}\n" for path in new)


def _differing(root: Path, texts: dict[str, str]) -> list[str]:
    differing = [path for path, text in texts.items() if _read(root / path) != text]
    schemas = (path.relative_to(root).as_posix() for path in root.glob("schemas/*.json"))
    return sorted(differing + [path for path in schemas if path not in texts])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())

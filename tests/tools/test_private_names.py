"""Private names of libraries are used in known places only, each explained by a decision page."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/decisions/0035-extension-points-of-libraries.md"
KNOWN = {
    "shared/kafka/internals.py": {
        "_client",
        "_coordination_task",
        "_coordinator",
        "_create_fetch_waiter",
        "_fetch_task",
        "_fetcher",
        "_partition_records",
        "_position",
        "_records",
        "_sender",
        "_subscription",
        "_tp",
        "_wait_on_metadata",
    },
    "shared/kafka/unpacking.py": {"_consumer_record", "_records", "_tp"},
    "shared/mongo/client.py": {"_doc"},
}
DOCUMENTED = {"_current_frames", "_exit", "_replace"}
"""Names of the standard library that its documentation describes."""


def _private_names(path: Path) -> Iterator[str]:
    """Yield private names of others: of any object but `self`, and of `self` if the module sets none such."""
    tree = ast.parse(path.read_text())
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    used: list[tuple[bool, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            of_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if of_self and not isinstance(node.ctx, ast.Load):
                own.add(node.attr)
            used.append((of_self, node.attr))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("shared"):
            used += [(False, part) for part in node.module.split(".") if part.startswith("_")]
            used += [(False, alias.name) for alias in node.names if alias.name.startswith("_")]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr"):
            used += [(False, str(arg.value)) for arg in node.args[1:2] if isinstance(arg, ast.Constant)]
    for of_self, name in used:
        if name.startswith("_") and not name.startswith("__") and not (of_self and name in own):
            yield name


def test_private_names_of_libraries_are_used_in_known_places_only() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "shared").rglob("*.py")):
        if names := set(_private_names(path)) - DOCUMENTED:
            found[path.relative_to(ROOT).as_posix()] = names
    assert found == KNOWN


def test_the_decision_page_explains_each_private_name() -> None:
    page = PAGE.read_text()
    missing = {name for names in KNOWN.values() for name in names if f"`{name}`" not in page}
    assert not missing

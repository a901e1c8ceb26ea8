"""Rules that reject a workflow whose run would fail, or would be billed without a result."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

from contracts.generation import Reason
from contracts.wording import cut, shown
from contracts.workflows import (
    ANY_PLACEHOLDER,
    DOCUMENTED_PLACEHOLDERS,
    PLACEHOLDERS,
    PREFIX,
    SEED_INPUTS,
    SEEDS,
    Graph,
    cycle_in,
    saving_nodes,
    text_of,
)

FIELD: Final = "request.workflow"
NO_SAVING_NODE: Final = (
    "has no node that saves an image; add a SaveImage node, or set the title of the node that saves the"
    " image to 'result'. A PreviewImage does not count"
)
OUTSIDE: Final = "must stay in the server's output folder: no leading '/', no drive and no '..', got {got}"
SEED: Final = f"must be a whole number from 0 to {SEEDS - 1}, or '{{{{seed}}}}' for one per image; got "
_ABSOLUTE: Final = re.compile(r"[/\\]|[A-Za-z]:")


def run_reasons(workflow: dict[str, Any]) -> Iterator[Reason]:
    """Yield the reasons to reject a graph in API format. Its nodes must have `class_type` and `inputs`."""
    if not saving_nodes(workflow):
        yield Reason(field=FIELD, message=NO_SAVING_NODE)
    if cycle := cycle_in(workflow):
        yield Reason(field=FIELD, message=f"has a cycle of nodes: {' → '.join(cut(n, 20) for n in cycle)}")
    for node_id, node in workflow.items():
        for name, value in node["inputs"].items():
            field = f"{FIELD}.{node_id[:100]}.inputs.{name[:100]}"
            if message := _input_error(workflow, name, value):
                yield Reason(field=field, message=message)
            for path, unknown in _unknown_placeholders(value, field):
                yield Reason(field=path, message=unknown)


def _input_error(workflow: Graph, name: str, value: object) -> str | None:
    if name in SEED_INPUTS and not isinstance(value, list | dict) and not _is_seed(value):
        return SEED + shown(value)
    if name == PREFIX and (prefix := text_of(workflow, value)) is not None and _leaves_its_folder(prefix):
        return OUTSIDE.format(got=shown(prefix))
    return None


def _is_seed(value: object) -> bool:
    """Return whether a value is a seed for a server: a number, its text, or a text with a placeholder."""
    if isinstance(value, str):
        if ANY_PLACEHOLDER.search(value):
            return True
        text = value.strip()
        return text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < SEEDS
    if isinstance(value, float):
        return value.is_integer() and 0 <= value < SEEDS
    return isinstance(value, int) and 0 <= value < SEEDS


def _leaves_its_folder(prefix: str) -> bool:
    text = prefix.strip()
    return bool(_ABSOLUTE.match(text)) or ".." in re.split(r"[/\\]", text)


def _unknown_placeholders(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the error of each text with an unknown placeholder."""
    if isinstance(value, str):
        unknown = (name for name in ANY_PLACEHOLDER.findall(value) if name not in PLACEHOLDERS)
        if (name := next(unknown, None)) is not None:
            yield path, f"{{{{{cut(name, 40)}}}}} is not a placeholder; {_hint(name)}"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _unknown_placeholders(inner, f"{path}.{key[:100]}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unknown_placeholders(inner, f"{path}.{index}")


def _hint(name: str) -> str:
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    if close := get_close_matches(plain, DOCUMENTED_PLACEHOLDERS, n=1, cutoff=0.75):
        return f"did you mean {{{{{close[0]}}}}}?"
    return f"known placeholders: {', '.join(f'{{{{{known}}}}}' for known in DOCUMENTED_PLACEHOLDERS)}"

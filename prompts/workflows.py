"""Rules for workflows of callers: size, API format, and wording."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from contracts.generation import Reason, RenderSpec
from contracts.notices import Notice
from contracts.storable import faults
from contracts.workflows import Graph, batch_of, placeholders_of
from prompts.adults import NotAnAdult, find_minor
from prompts.catalogue import Catalogue
from prompts.explicit import find_explicit
from prompts.workflow_checks import run_reasons

MAX_BYTES: Final = 256 * 1024
MAX_WORDING: Final = 64 * 1024
"""Maximum total length of the distinct texts of several words in a workflow's inputs."""
_WORDS: Final = re.compile(r"\s|[^\x00-\x7f]")
_FIELD = "request.workflow"


def workflow_reasons(workflow: dict[str, Any], *, include_nsfw: bool, catalogue: Catalogue) -> list[Reason]:
    """Return the reasons to reject a workflow. Its wording is checked only if its form is valid."""
    if unstorable := list(islice(faults(workflow, ("request", "workflow")), 10)):
        return [Reason(field=field, message=why) for field, why in unstorable]
    if problem := _problem(workflow):
        return [Reason(field=_FIELD, message=problem)]
    return [*_wording(workflow, include_nsfw, catalogue), *islice(run_reasons(workflow), 10)]


def workflow_notices(workflow: Graph, renders: Sequence[RenderSpec]) -> tuple[Notice, ...]:
    """Return notices for images that will be equal, or made but not delivered, before any cost arises."""
    return (*_same_picture(workflow, renders), *_batch(workflow, renders))


def _same_picture(workflow: Graph, renders: Sequence[RenderSpec]) -> Iterator[Notice]:
    """Yield a notice for images whose placeholders all have the same values."""
    placeholders = placeholders_of(workflow)
    alike: dict[tuple[object, ...], list[int]] = {}
    for spec in renders:
        values = {
            "prompt": (spec.prompt, spec.tag_prompt),
            "negative_prompt": spec.negative_prompt,
            "seed": spec.seed,
            "width": spec.width,
            "height": spec.height,
        }
        alike.setdefault(tuple(value for name, value in values.items() if name in placeholders), []).append(
            spec.index
        )
    message = (
        "The workflow has no {{seed}} placeholder, so these images will probably be equal, and each one is"
        " billed. Use {{seed}} as the seed of the workflow, or request one image."
    )
    for images in alike.values():
        if len(images) > 1:
            yield Notice(code="same_picture", message=message, images=tuple(images))


def _batch(workflow: Graph, renders: Sequence[RenderSpec]) -> Iterator[Notice]:
    """Yield a notice if each run makes a batch, of which one image is delivered."""
    images, batch = tuple(spec.index for spec in renders), batch_of(workflow)
    if batch > 1 and images:
        message = (
            f"The workflow has a batch_size of {batch}: {len(images)} run(s) will make {len(images) * batch}"
            f" images, of which {len(images)} will be delivered. Set batch_size to 1 and request more"
            " images with 'count'."
        )
        yield Notice(code="outputs_dropped", message=message, images=images)


def _problem(workflow: dict[str, Any]) -> str | None:
    if (size := len(json.dumps(workflow, ensure_ascii=False).encode(errors="replace"))) > MAX_BYTES:
        return f"must have at most {MAX_BYTES} bytes of JSON, got {size}"
    if isinstance(workflow.get("nodes"), list) or isinstance(workflow.get("links"), list):
        return "is in the format of the ComfyUI editor; export it with 'Export (API)'"
    if not workflow:
        return "has no nodes"
    for node_id, node in workflow.items():
        if not _is_node(node):
            return f"node {node_id[:100]!r} must have a 'class_type' and 'inputs'"
    return None


def _is_node(node: object) -> bool:
    return (
        isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), dict)
    )


def _wording(workflow: dict[str, Any], include_nsfw: bool, catalogue: Catalogue) -> Iterator[Reason]:
    exempt = _negative_nodes(workflow)
    places: dict[str, list[str]] = {}
    for node_id, node in workflow.items():
        if node_id not in exempt:
            for path, text in _texts(node["inputs"], f"{_FIELD}.{node_id[:100]}.inputs"):
                places.setdefault(text, []).append(path)
    if (size := sum(len(text) for text in places if _WORDS.search(text))) > MAX_WORDING:
        problem = f"must have at most {MAX_WORDING} characters of text in its nodes, got {size}"
        yield Reason(field=_FIELD, message=problem)
        return
    for text, paths in places.items():
        if message := _fault(text, include_nsfw, catalogue):
            yield from (Reason(field=path, message=message) for path in paths)


def _fault(text: str, include_nsfw: bool, catalogue: Catalogue) -> str | None:
    if found := find_minor(text, catalogue.underage):
        return str(NotAnAdult(found))
    if not include_nsfw and find_explicit(text, catalogue.nsfw.explicit):
        return "has explicit wording, which requires include_nsfw; use {{prompt}} for a prompt without it"
    return None


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key[:100]}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}.{index}")


def _negative_nodes(workflow: dict[str, Any]) -> set[str]:
    """Return the nodes whose output is used only as a negative prompt. Their texts name things to avoid."""
    used: dict[str, set[str]] = {}
    for node in workflow.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
                used.setdefault(value[0], set()).add(name)
    return {node_id for node_id, names in used.items() if names == {"negative"}}

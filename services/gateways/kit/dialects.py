"""Prompt dialects of models: prose or weighted tags, with or without a negative prompt."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from contracts.renders import RenderRequested

Dialect = Literal["prose", "tags"]
"""The best input of a model: prose for Flux, weighted tags for SDXL."""


def in_dialect(command: RenderRequested, dialect: Dialect) -> RenderRequested:
    """Return the command with the prompt that is sent and published with the result.

    Flux reads prose and takes no negative prompt. A caller's workflow may use one all the same.
    """
    spec = command.spec
    if spec.kind != "image":
        return command
    changes = {"tag_prompt": ""}
    if dialect == "tags" and spec.tag_prompt:
        changes["prompt"] = spec.tag_prompt
    if dialect == "prose" and command.workflow is None:
        changes["negative_prompt"] = ""
    return command.model_copy(update={"spec": spec.model_copy(update=changes)})


def dialect_of(names: Iterable[str], otherwise: Dialect) -> Dialect:
    """Return the dialect that the names of models imply, else the default."""
    text = " ".join(names).lower()
    if "flux" in text:
        return "prose"
    return "tags" if re.search(r"sd[-_]?xl", text) else otherwise


def model_names(workflow: dict[str, Any]) -> Iterator[str]:
    """Yield the nodes of a ComfyUI graph and the files that they load."""
    for node in workflow.values():
        yield str(node.get("class_type"))
        inputs = node.get("inputs", {}).items()
        yield from (value for name, value in inputs if name.endswith("_name") and isinstance(value, str))

"""Which words a model is given: prose or weighted tags, with or without a negative prompt."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from contracts.renders import RenderRequested

Dialect = Literal["prose", "tags"]
"""What a model reads best: Flux prose, SDXL weighted tags."""


def worded(command: RenderRequested, dialect: Dialect) -> RenderRequested:
    """The command with the one prompt that is sent, which is also the one that is told of it.

    Flux reads prose and takes no negative prompt. A caller's workflow may fill it in all the same.
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
    """What models of these names read, where the names tell."""
    said = " ".join(names).lower()
    if "flux" in said:
        return "prose"
    return "tags" if re.search(r"sd[-_]?xl", said) else otherwise


def model_names(workflow: dict[str, Any]) -> Iterator[str]:
    """The nodes of a ComfyUI graph and the files that they load."""
    for node in workflow.values():
        yield str(node.get("class_type"))
        inputs = node.get("inputs", {}).items()
        yield from (value for name, value in inputs if name.endswith("_name") and isinstance(value, str))

"""Options and files → a request that can be submitted."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from clients.cli.errors import WrongInput
from clients.cli.options import Look, Person
from contracts.base import Model
from contracts.characters import Appearance, Character, Identity
from contracts.generation import Notify
from contracts.http import LoraTrainingSubmission
from contracts.http_chains import BaseImageSelection
from contracts.strictness import validate_strictly
from contracts.wording import error_text

M = TypeVar("M", bound=Model)

OPTIONS = {
    "base_image_id": "--base-image",
    "captions": "--caption",
    "character": "--character",
    "count": "--count",
    "images": "--image",
    "job_id": "--job-id",
    "set_id": "--set",
}
"""Fields that are not called like their option."""


def submission(kind: type[M], person: Person, look: Look, **own: Any) -> M:
    """A request of this kind.

    Raises:
        WrongInput: naming each option that is wrong.
    """
    fields = {name: getattr(look, name) for name in vars(look) if name not in ("nsfw", "workflow")}
    fields |= {"include_nsfw": look.nsfw, "workflow": look.workflow and read_object(look.workflow)}
    given = {name: value for name, value in (fields | own).items() if value is not None}
    character = character_of(person, own.get("base_image_id"))
    if "base_image_id" not in kind.model_fields:
        given.pop("base_image_id", None)  # it is the character's
    return _checked(kind, given | {"character": character})


def training(**fields: Any) -> LoraTrainingSubmission:
    """A request to train. Raises as `submission` does."""
    given = {name: value for name, value in fields.items() if value is not None}
    return _checked(LoraTrainingSubmission, given)


def character_of(person: Person, base_image: str | None) -> Character:
    """The character in the file, changed by the options."""
    fields = read_object(person.character) if person.character else {}
    for part, model in (("appearance", Appearance), ("identity", Identity)):
        given = {name: value for name in model.model_fields if (value := getattr(person, name, None))}
        if given:
            fields[part] = {**fields.get(part, {}), **given}
    fields |= {name: value for name in ("name", "age") if (value := getattr(person, name))}
    if base_image:
        fields["base_image_id"] = base_image
    if "name" not in fields or "age" not in fields:
        raise WrongInput("who is it? give --name and --age, or --character FILE with both")
    return _checked(Character, fields)


def selection(
    base_image: str, *, nsfw: bool, character: Path | None, then: Path | None
) -> BaseImageSelection:
    """The choice of a face.

    Raises:
        WrongInput: naming each option that is wrong.
    """
    fields = {
        "base_image_id": base_image,
        "include_nsfw": nsfw,
        "character": read_object(character) if character else None,
        "then": read_list(then) if then else (),
    }
    return _checked(BaseImageSelection, fields, {"base_image_id": "BASE_IMAGE_ID"})


def notify(url: str) -> Notify:
    """Return where the events of a job go. Raises as `submission` does."""
    return _checked(Notify, {"webhook_url": url}, {"webhook_url": "--webhook"})


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file; `-` is standard input."""
    value = _read(path)
    if not isinstance(value, dict):
        raise WrongInput(f"{path}: must hold one JSON object")
    return value


def read_list(path: Path) -> list[Any]:
    """A JSON list from a file."""
    value = _read(path)
    if not isinstance(value, list):
        raise WrongInput(f"{path}: must hold one JSON list")
    return value


def _read(path: Path) -> Any:
    try:
        return json.loads(sys.stdin.read() if path == Path("-") else path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongInput(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _checked(kind: type[M], fields: Mapping[str, Any], names: Mapping[str, str] = OPTIONS) -> M:
    try:
        return validate_strictly(kind, fields, lambda: kind.model_validate(fields))
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[:5]
        said = (f"{_option(item['loc'], names)}: {error_text(item)}" for item in wrong)
        raise WrongInput("; ".join(said)) from None


def _option(path: tuple[int | str, ...], names: Mapping[str, str]) -> str:
    first, *rest = (str(step) for step in path) if path else ("request",)
    return ".".join([names.get(first, f"--{first.replace('_', '-')}"), *rest])

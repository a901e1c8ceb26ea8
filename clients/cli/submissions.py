"""Build requests from options and files."""

import sys
from collections.abc import Mapping
from json import JSONDecodeError
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from clients.cli.errors import WrongInput
from clients.cli.option_groups import CharacterOptions, ImageOptions
from contracts.base import Model
from contracts.characters import Appearance, Character, Identity
from contracts.generation import Notify
from contracts.http import LoraTrainingSubmission
from contracts.http_chains import BaseImageSelection
from contracts.json_text import fault_in, loads
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
"""Fields whose option has another name."""


def submission(kind: type[M], character: CharacterOptions, image: ImageOptions, **own: Any) -> M:
    """Return a request of this kind; `own` are the fields that only it has.

    Raises:
        WrongInput: with each invalid option.
    """
    fields = {name: value for name, value in vars(image).items() if name not in ("nsfw", "workflow")}
    fields |= {"include_nsfw": image.nsfw, "workflow": image.workflow and read_object(image.workflow)}
    given = {name: value for name, value in (fields | own).items() if value is not None}
    given["character"] = character_of(character, own.get("base_image_id"))
    if "base_image_id" not in kind.model_fields:
        given.pop("base_image_id", None)  # it is a field of the character
    return _checked(kind, given)


def training(**fields: Any) -> LoraTrainingSubmission:
    """Return a training request. Raises as `submission` does."""
    given = {name: value for name, value in fields.items() if value is not None}
    return _checked(LoraTrainingSubmission, given)


def character_of(options: CharacterOptions, base_image: str | None) -> Character:
    """Return the character of the file, with the options applied."""
    fields = read_object(options.character) if options.character else {}
    for part, model in (("appearance", Appearance), ("identity", Identity)):
        given = {name: value for name in model.model_fields if (value := getattr(options, name, None))}
        if given:
            fields[part] = {**fields.get(part, {}), **given}
    fields |= {name: value for name in ("name", "age") if (value := getattr(options, name))}
    if base_image:
        fields["base_image_id"] = base_image
    if "name" not in fields or "age" not in fields:
        raise WrongInput("the character is missing: give --name and --age, or --character FILE")
    return _checked(Character, fields)


def selection(
    base_image: str, *, nsfw: bool, character: Path | None, then: Path | None
) -> BaseImageSelection:
    """Return the selection of a base image.

    Raises:
        WrongInput: with each invalid option.
    """
    fields = {
        "base_image_id": base_image,
        "include_nsfw": nsfw,
        "character": read_object(character) if character else None,
        "then": read_list(then) if then else (),
    }
    return _checked(BaseImageSelection, fields, {"base_image_id": "BASE_IMAGE_ID"})


def notify(url: str) -> Notify:
    """Return the webhook setting of a request. Raises as `submission` does."""
    return _checked(Notify, {"webhook_url": url}, {"webhook_url": "--webhook"})


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; `-` is standard input."""
    value = _read(path)
    if not isinstance(value, dict):
        raise WrongInput(f"{path}: must contain a JSON object")
    return value


def read_list(path: Path) -> list[Any]:
    """Return the JSON list of a file."""
    value = _read(path)
    if not isinstance(value, list):
        raise WrongInput(f"{path}: must contain a JSON list")
    return value


def _read(path: Path) -> Any:
    try:
        return loads(sys.stdin.read() if path == Path("-") else path.read_bytes())
    except OSError as error:
        raise WrongInput(f"{path}: {error.strerror or error}") from None
    except JSONDecodeError as error:
        raise WrongInput(f"{path}: is not valid JSON: {fault_in(error.msg, error.pos)}") from None


def _checked(kind: type[M], fields: Mapping[str, Any], names: Mapping[str, str] = OPTIONS) -> M:
    try:
        return validate_strictly(kind, fields, lambda: kind.model_validate(fields))
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[:5]
        messages = (f"{_option(item['loc'], names)}: {error_text(item)}" for item in wrong)
        raise WrongInput("; ".join(messages)) from None


def _option(path: tuple[int | str, ...], names: Mapping[str, str]) -> str:
    first, *rest = (str(step) for step in path) if path else ("request",)
    return ".".join([names.get(first, f"--{first.replace('_', '-')}"), *rest])

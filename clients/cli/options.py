"""Options that several commands share, as dataclasses: one field, one option."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from contracts.base import Provider
from contracts.requests import Aspect

CHARACTER = "The character"
IMAGES = "The images"
ANSWER = "The answer"


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=False, **more)


BaseImage = typer.Option(help="An image's id, JOB_ID/INDEX: the face to keep.", metavar="JOB_ID/INDEX")
Candidates = Annotated[int, typer.Option(min=1, max=3, help="How many candidates.")]
Poses = Annotated[int, typer.Option(min=7, max=10, help="How many poses.")]
Only = Annotated[
    list[int] | None,
    typer.Option(min=0, max=9, help="Only this image of the sheet, counted from 0; may be repeated."),
]
Scene = Annotated[str | None, typer.Option(help="beach, cafe, neon-city, … or free text.")]
Outfit = Annotated[str | None, typer.Option(help="casual, business, sundress, … or free text.")]
Count = Annotated[int, typer.Option(min=1, max=10, help="How many images.")]
SetId = Annotated[str, typer.Option("--set", help="classic, professional, social, dating, artistic.")]


@dataclass(frozen=True)
class Person:
    """The person that is drawn. Options win over the file."""

    character: Annotated[
        Path | None, _option(CHARACTER, "A JSON file with name, age, appearance, identity.", metavar="FILE")
    ] = None
    name: Annotated[str | None, _option(CHARACTER, "What the character is called.")] = None
    age: Annotated[str | None, _option(CHARACTER, "Years, as a number or in words. Adults only.")] = None
    gender: Annotated[str | None, _option(CHARACTER, "Such as 'woman'.")] = None
    ethnicity: Annotated[str | None, _option(CHARACTER, "Such as 'Nigerian'.")] = None
    skin_tone: Annotated[str | None, _option(CHARACTER, "Such as 'olive'.")] = None
    hair_color: Annotated[str | None, _option(CHARACTER, "Such as 'copper red'.")] = None
    hair_length: Annotated[str | None, _option(CHARACTER, "Such as 'shoulder-length'.")] = None
    hair_style: Annotated[str | None, _option(CHARACTER, "Such as 'long braid'.")] = None
    eye_color: Annotated[str | None, _option(CHARACTER, "Such as 'green'.")] = None
    face_shape: Annotated[str | None, _option(CHARACTER, "Such as 'oval'.")] = None
    face: Annotated[str | None, _option(CHARACTER, "Such as 'high cheekbones'.")] = None
    body_type: Annotated[str | None, _option(CHARACTER, "Such as 'athletic'.")] = None
    height: Annotated[str | None, _option(CHARACTER, "Such as 'tall' or '175 cm'.")] = None
    facial_hair: Annotated[str | None, _option(CHARACTER, "Such as 'stubble'.")] = None
    details: Annotated[str | None, _option(CHARACTER, "Anything else: freckles, glasses.")] = None
    occupation: Annotated[str | None, _option(CHARACTER, "Such as 'chef'.")] = None
    personality: Annotated[str | None, _option(CHARACTER, "Such as 'cheerful'.")] = None
    expression: Annotated[str | None, _option(CHARACTER, "Its usual one: 'gentle smile'.")] = None
    dress_style: Annotated[str | None, _option(CHARACTER, "What it usually wears: 'business'.")] = None


@dataclass(frozen=True)
class Look:
    """Options for the look of the images."""

    prompt: Annotated[str | None, _option(IMAGES, "Words of your own, beside those of the request.")] = None
    style: Annotated[str | None, _option(IMAGES, "photorealistic, cinematic, anime, film, … or free.")] = None
    quality: Annotated[str | None, _option(IMAGES, "draft, standard, high or ultra.")] = None
    aspect: Annotated[Aspect | None, _option(IMAGES, "The shape; each type has its own.")] = None
    seed: Annotated[int | None, _option(IMAGES, "Of the first image; the others follow.", min=0)] = None
    nsfw: Annotated[bool, _option(IMAGES, "Allow explicit wording.", "--nsfw")] = False
    provider: Annotated[Provider | None, _option(IMAGES, "Where to render; else the policy's.")] = None
    model: Annotated[str | None, _option(IMAGES, "A model of the provider: fal-ai/flux/dev.")] = None
    workflow: Annotated[
        Path | None, _option(IMAGES, "A ComfyUI graph in API format, as JSON.", metavar="FILE")
    ] = None


@dataclass(frozen=True)
class Answer:
    """Options for the time after the request was accepted."""

    out: Annotated[Path | None, _option(ANSWER, "Download the images to this folder.", metavar="DIR")] = None
    webhook: Annotated[
        str | None, _option(ANSWER, "Send the job's events here: docs/webhooks.md.", metavar="URL")
    ] = None
    as_json: Annotated[bool, _option(ANSWER, "Print job and images as JSON.", "--json")] = False
    wait: Annotated[bool, _option(ANSWER, "Only say the job's id.", " /--no-wait")] = True


def bundled(command: Callable[..., None]) -> Callable[..., None]:
    """Each parameter that is one of these dataclasses becomes its fields' options."""
    signature = inspect.signature(command, eval_str=True)
    bundles: dict[str, type[Any]] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation)
    }

    @wraps(command)
    def gathered(**values: Any) -> None:
        for name, kind in bundles.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        command(**values)

    own = [parameter for name, parameter in signature.parameters.items() if name not in bundles]
    shared = [parameter for kind in bundles.values() for parameter in _parameters(kind)]
    gathered.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
    return gathered


def _parameters(kind: type) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]

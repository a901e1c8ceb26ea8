"""Options that several commands share, as dataclasses with one field per option.

Typer has no means to share options; `with_option_groups` gives each command its signature.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from clients.cli.output_folders import folder_named
from contracts.base import Provider
from contracts.requests import Aspect

CHARACTER = "The character"
IMAGES = "The images"
OUTPUT = "The output"


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=False, **more)


BaseImage = typer.Option(help="Id of the image whose face to keep.", metavar="JOB_ID/INDEX")
Candidates = Annotated[int, typer.Option(min=1, max=3, help="Number of candidates.")]
Poses = Annotated[int, typer.Option(min=7, max=10, help="Number of poses.")]
Only = Annotated[
    list[int] | None,
    typer.Option(min=0, max=9, help="Only the image of the sheet with this index, from 0; may be repeated."),
]
Scene = Annotated[str | None, typer.Option(help="beach, cafe, neon-city, … or free text.")]
Outfit = Annotated[str | None, typer.Option(help="casual, business, sundress, … or free text.")]
Count = Annotated[int, typer.Option(min=1, max=10, help="Number of images.")]
SetId = Annotated[str, typer.Option("--set", help="classic, professional, social, dating, artistic.")]


@dataclass(frozen=True)
class CharacterOptions:
    """Options that describe the character. They take precedence over the file."""

    character: Annotated[
        Path | None, _option(CHARACTER, "A JSON file with name, age, appearance, identity.", metavar="FILE")
    ] = None
    name: Annotated[str | None, _option(CHARACTER, "Name of the character.")] = None
    age: Annotated[str | None, _option(CHARACTER, "Age in years, as a number or in words. Adults only.")] = (
        None
    )
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
    details: Annotated[str | None, _option(CHARACTER, "Other details, such as 'freckles, glasses'.")] = None
    occupation: Annotated[str | None, _option(CHARACTER, "Such as 'chef'.")] = None
    personality: Annotated[str | None, _option(CHARACTER, "Such as 'cheerful'.")] = None
    expression: Annotated[str | None, _option(CHARACTER, "Usual expression, such as 'gentle smile'.")] = None
    dress_style: Annotated[str | None, _option(CHARACTER, "Usual clothes, such as 'business'.")] = None


@dataclass(frozen=True)
class ImageOptions:
    """Options for the images."""

    prompt: Annotated[str | None, _option(IMAGES, "Text to add to the prompt.")] = None
    style: Annotated[str | None, _option(IMAGES, "photorealistic, cinematic, anime, film, … or free.")] = None
    quality: Annotated[str | None, _option(IMAGES, "draft, standard, high or ultra.")] = None
    aspect: Annotated[Aspect | None, _option(IMAGES, "Aspect ratio; the default depends on the type.")] = None
    seed: Annotated[
        int | None, _option(IMAGES, "Seed of the first image; those of the others follow from it.", min=0)
    ] = None
    nsfw: Annotated[bool, _option(IMAGES, "Allow explicit wording.", "--nsfw")] = False
    provider: Annotated[Provider | None, _option(IMAGES, "Provider; the default is the policy's choice.")] = (
        None
    )
    model: Annotated[str | None, _option(IMAGES, "Model of the provider, such as fal-ai/flux/dev.")] = None
    workflow: Annotated[
        Path | None, _option(IMAGES, "A ComfyUI graph in API format, as JSON.", metavar="FILE")
    ] = None


@dataclass(frozen=True)
class OutputOptions:
    """Options for what happens after the request has been accepted."""

    out: Annotated[
        Path | None,
        _option(OUTPUT, "Download the images to this folder.", metavar="DIR", parser=folder_named),
    ] = None
    webhook: Annotated[
        str | None,
        _option(OUTPUT, "Send the events of the job to this address: docs/webhooks.md.", metavar="URL"),
    ] = None
    as_json: Annotated[bool, _option(OUTPUT, "Print job and images as JSON.", "--json")] = False
    wait: Annotated[
        bool, _option(OUTPUT, "Print the id of the job and do not wait for its end.", " /--no-wait")
    ] = True


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter that is one of these dataclasses by an option for each of its fields."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, type[Any]] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation)
    }
    options = {name: dict(inspect.signature(group).parameters) for name, group in groups.items()}

    @wraps(command)
    def run(**values: Any) -> None:
        made = {
            name: group(**{option: values.pop(option) for option in options[name]})
            for name, group in groups.items()
        }
        command(**values, **made)

    own = [parameter for name, parameter in signature.parameters.items() if name not in groups]
    shared = [option for group in options.values() for option in group.values()]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *shared)]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run

"""imagegen prompt: show the prompts of a request without sending it"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import ValidationError

from clients.cli.errors import WrongInput
from clients.cli.option_groups import (
    BaseImage,
    Candidates,
    CharacterOptions,
    Count,
    ImageOptions,
    Only,
    Outfit,
    Poses,
    Scene,
    SetId,
    with_option_groups,
)
from clients.cli.submissions import read_object, submission
from contracts.generation import GenerationRequested, Reason
from contracts.http import AnySubmission, ChainSubmission, Submission
from contracts.requests import (
    BaseImageRequest,
    CharacterSheetRequest,
    ProfilePicturesRequest,
    StudioRequest,
)
from contracts.strictness import read_message
from prompts.preview import NO_JOB, RequestRejected, as_json, as_text, preview
from prompts.renders import ImageRequest
from prompts.unreadable_requests import reasons_of

app = typer.Typer(help="Show the prompts, seeds and sizes of a request without sending it.")

_POSTED: Mapping[str, type[Submission]] = {
    kind.model_fields["type"].default: kind for kind in get_args(AnySubmission)
}


@dataclass(frozen=True)
class PromptOutput:
    """Options for the output."""

    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False


@app.callback(invoke_without_command=True)
@with_option_groups
def from_file(
    ctx: typer.Context,
    output: PromptOutput,
    request: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Request as JSON, in the form for Kafka or HTTP; - is stdin."),
    ] = None,
) -> None:
    """Show the prompts, seeds and sizes of a request, and removed words, without sending it.

    imagegen prompt studio --name Mara --age 27 --scene beach

    imagegen prompt --request request.json

    Seeds derive from --seed, else from the job_id of the request, else from a job id of zeros.
    """
    if ctx.invoked_subcommand is not None:
        return
    if request is None:
        typer.echo(ctx.get_help())
        return
    given = read_object(request)
    requested = _read_request(given)
    if not isinstance(requested.request, get_args(ImageRequest)):
        raise WrongInput("a training has no prompts")
    _show(requested.request, output, requested.job_id, nested="request" in given)


@app.command()
@with_option_groups
def base_image(
    character: CharacterOptions, image: ImageOptions, output: PromptOutput, count: Candidates = 3
) -> None:
    """Show the prompts of candidates for the face of a new character."""
    _show(submission(BaseImageRequest, character, image, count=count), output)


@app.command()
@with_option_groups
def character_sheet(
    base_image: Annotated[str, BaseImage],
    character: CharacterOptions,
    image: ImageOptions,
    output: PromptOutput,
    count: Poses = 7,
    only: Only = None,
) -> None:
    """Show the prompts of a character sheet, with captions for training."""
    own = {"base_image_id": base_image, "count": count, "only": only}
    _show(submission(CharacterSheetRequest, character, image, **own), output)


@app.command()
@with_option_groups
def studio(
    character: CharacterOptions,
    image: ImageOptions,
    output: PromptOutput,
    base_image: Annotated[str | None, BaseImage] = None,
    scene: Scene = None,
    outfit: Outfit = None,
    count: Count = 1,
) -> None:
    """Show the prompts of a character in a scene."""
    own = {"base_image_id": base_image, "scene": scene, "outfit": outfit, "count": count}
    _show(submission(StudioRequest, character, image, **own), output)


@app.command()
@with_option_groups
def profile_pictures(
    set_id: SetId,
    character: CharacterOptions,
    image: ImageOptions,
    output: PromptOutput,
    base_image: Annotated[str | None, BaseImage] = None,
) -> None:
    """Show the prompts of a profile-picture set."""
    own = {"base_image_id": base_image, "set_id": set_id}
    _show(submission(ProfilePicturesRequest, character, image, **own), output)


def _read_request(given: dict[str, Any]) -> GenerationRequested:
    """Read a request in the form for Kafka or HTTP, as strictly as the platform does.

    Raises:
        WrongInput: with the errors that the platform would report.
    """
    published: dict[str, Any] = {"job_id": NO_JOB, "tenant": "nobody", "user_id": "nobody"}
    published |= given if "request" in given else _as_published(given)
    try:
        return read_message(GenerationRequested, json.dumps(published).encode())
    except ValidationError as error:
        raise WrongInput(_texts(reasons_of(error), nested="request" in given)) from None


def _texts(reasons: Sequence[Reason], *, nested: bool) -> str:
    """Return the errors with the fields as they were given: inside of `request` only where it was."""
    fields = ((each.field if nested else each.field.removeprefix("request.")) for each in reasons)
    return "; ".join(f"{field}: {each.message}" for field, each in zip(fields, reasons, strict=True))


def _as_published(posted: dict[str, Any]) -> dict[str, Any]:
    """Return the body of an HTTP request in the form for Kafka."""
    kind = _POSTED.get(str(posted.get("type")), Submission)
    names = ChainSubmission.model_fields.keys() & kind.model_fields.keys()
    outside = {name: value for name, value in posted.items() if name in names}
    return outside | {"request": {name: value for name, value in posted.items() if name not in names}}


def _show(request: ImageRequest, output: PromptOutput, job_id: str = NO_JOB, *, nested: bool = False) -> None:
    if getattr(request, "character_id", None):
        raise WrongInput("stored characters are not available here: replace character_id by the character")
    try:
        images = preview(request, job_id)
    except RequestRejected as error:
        raise WrongInput(_texts(error.reasons, nested=nested)) from None
    if output.as_json:
        typer.echo(json.dumps([as_json(image) for image in images], indent=2, ensure_ascii=False))
    else:
        typer.echo(as_text(images))

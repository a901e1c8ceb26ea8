"""imagegen generate …: a request over HTTP, followed until it ends"""

import asyncio
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console

from clients.cli.client import Client, download
from clients.cli.connection import client_of
from clients.cli.folders import check_folder
from clients.cli.following import Followed, follow
from clients.cli.options import (
    Answer,
    BaseImage,
    Candidates,
    Count,
    Look,
    Only,
    Outfit,
    Person,
    Poses,
    Scene,
    SetId,
    bundled,
)
from clients.cli.progress import job_with_images, live
from clients.cli.report import print_job
from clients.cli.requests import notify, submission, training
from contracts.base import Provider
from contracts.http import (
    AnySubmission,
    BaseImageSubmission,
    CharacterSheetSubmission,
    ProfilePicturesSubmission,
    StudioSubmission,
)

app = typer.Typer(no_args_is_help=True, help="Ask for images and watch them come.")


@app.command()
@bundled
def base_image(
    ctx: typer.Context,
    person: Person,
    look: Look,
    answer: Answer,
    count: Candidates = 3,
) -> None:
    """Candidates for a new character's face. Target: 30 s for 3.

    imagegen generate base-image --name Mara --age 27 --gender woman --out faces
    """
    _run(ctx, submission(BaseImageSubmission, person, look, count=count), answer)


@app.command()
@bundled
def character_sheet(
    ctx: typer.Context,
    base_image: Annotated[str, BaseImage],
    person: Person,
    look: Look,
    answer: Answer,
    count: Poses = 7,
    only: Only = None,
) -> None:
    """One character in seven to ten poses. Target: 5 min.

    With --only, images that are missing are drawn again, as they were meant to be.
    """
    own = {"base_image_id": base_image, "count": count, "only": only}
    _run(ctx, submission(CharacterSheetSubmission, person, look, **own), answer)


@app.command()
@bundled
def studio(
    ctx: typer.Context,
    person: Person,
    look: Look,
    answer: Answer,
    base_image: Annotated[str | None, BaseImage] = None,
    scene: Scene = None,
    outfit: Outfit = None,
    count: Count = 1,
) -> None:
    """A character in a scene; with --base-image it keeps that face. Target: 15 s."""
    own = {"scene": scene, "outfit": outfit, "count": count}
    _run(ctx, submission(StudioSubmission, person, look, base_image_id=base_image, **own), answer)


@app.command()
@bundled
def profile_pictures(
    ctx: typer.Context,
    set_id: SetId,
    person: Person,
    look: Look,
    answer: Answer,
    base_image: Annotated[str | None, BaseImage] = None,
) -> None:
    """The pictures of one profile-picture set. Target: 2 min."""
    _run(
        ctx,
        submission(ProfilePicturesSubmission, person, look, base_image_id=base_image, set_id=set_id),
        answer,
    )


@app.command()
@bundled
def lora_training(
    ctx: typer.Context,
    character_id: Annotated[str, typer.Option(help="The stored character's id.")],
    image: Annotated[
        list[str], typer.Option(help="One to learn from; give at least four.", metavar="JOB_ID/INDEX")
    ],
    trigger_word: Annotated[str, typer.Option(help="The word that will call the character.")],
    answer: Answer,
    caption: Annotated[list[str] | None, typer.Option(help="Of each image, in their order.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="How long; else the provider's setting.")] = None,
    provider: Annotated[Provider | None, typer.Option(help="Where; else the policy's.")] = None,
) -> None:
    """A LoRA of a character, from its images. Target: 1 h."""
    asked = training(
        character_id=character_id,
        images=image,
        captions=caption,
        trigger_word=trigger_word,
        steps=steps,
        provider=provider,
    )
    _run(ctx, asked, answer)


def _run(ctx: typer.Context, asked: Any, answer: Answer) -> None:
    followed: list[Followed] = []
    check_folder(answer.out)
    if answer.webhook:
        asked = asked.model_copy(update={"notify": notify(answer.webhook)})
    try:
        completed = asyncio.run(_generate(ctx, asked, answer, followed))
    except KeyboardInterrupt:
        for job in followed:
            typer.echo(f"\nIt goes on without you. Look with: imagegen job {job.job_id}", err=True)
            typer.echo(f"Stop it with: imagegen cancel {job.job_id}", err=True)
        raise
    if not completed:
        raise typer.Exit(1)


async def _generate(
    ctx: typer.Context, asked: AnySubmission, answer: Answer, followed: list[Followed]
) -> bool:
    async with client_of(ctx) as client:
        view = await client.submit(asked, key=str(uuid4()))
        job = Followed(view.id, view.type)
        job.see(view)
        followed.append(job)
        if not answer.wait:
            typer.echo(view.model_dump_json(indent=2) if answer.as_json else view.id)
            return True
        await _watch(client, job)
        await _finish(client, job, answer)
    return job.status == "completed"


async def _watch(client: Client, job: Followed) -> None:
    console = Console(stderr=True)
    with live(console, lambda: job_with_images(job)):
        async for _ in follow(client, job):
            pass


async def _finish(client: Client, job: Followed, answer: Answer) -> None:
    view, results = await client.job(job.job_id), await client.results(job.job_id)
    files = await download(client, results, answer.out) if answer.out else []
    print_job(view, results, files, as_json=answer.as_json)

"""imagegen generate: submit a request over HTTP and follow its job until it ends"""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from clients.cli.connection import connection_of
from clients.cli.downloads import download
from clients.cli.job_progress import JobProgress, follow
from clients.cli.job_report import print_job
from clients.cli.option_groups import (
    BaseImage,
    Candidates,
    CharacterOptions,
    Count,
    ImageOptions,
    Only,
    Outfit,
    OutputOptions,
    Poses,
    Scene,
    SetId,
    with_option_groups,
)
from clients.cli.output_folders import check_folder
from clients.cli.progress_display import job_with_images, live
from clients.cli.submissions import notify, submission, training
from contracts.base import Provider
from contracts.http import (
    AnySubmission,
    BaseImageSubmission,
    CharacterSheetSubmission,
    ProfilePicturesSubmission,
    StudioSubmission,
)
from imagegen_client import Client

app = typer.Typer(no_args_is_help=True, help="Request images and follow their progress.")


@app.command()
@with_option_groups
def base_image(
    ctx: typer.Context,
    character: CharacterOptions,
    image: ImageOptions,
    output: OutputOptions,
    count: Candidates = 3,
) -> None:
    """Generate candidates for the face of a new character. Target: 30 s for 3.

    imagegen generate base-image --name Mara --age 27 --gender woman --out faces
    """
    _run(ctx, submission(BaseImageSubmission, character, image, count=count), output)


@app.command()
@with_option_groups
def character_sheet(
    ctx: typer.Context,
    base_image: Annotated[str, BaseImage],
    character: CharacterOptions,
    image: ImageOptions,
    output: OutputOptions,
    count: Poses = 7,
    only: Only = None,
) -> None:
    """Generate a character in seven to ten poses. Target: 5 min.

    With --only, generate single images of a sheet again, with the same seeds and prompts.
    """
    own = {"base_image_id": base_image, "count": count, "only": only}
    _run(ctx, submission(CharacterSheetSubmission, character, image, **own), output)


@app.command()
@with_option_groups
def studio(
    ctx: typer.Context,
    character: CharacterOptions,
    image: ImageOptions,
    output: OutputOptions,
    base_image: Annotated[str | None, BaseImage] = None,
    scene: Scene = None,
    outfit: Outfit = None,
    count: Count = 1,
) -> None:
    """Generate a character in a scene; with --base-image it keeps that face. Target: 15 s."""
    own = {"scene": scene, "outfit": outfit, "count": count}
    _run(ctx, submission(StudioSubmission, character, image, base_image_id=base_image, **own), output)


@app.command()
@with_option_groups
def profile_pictures(
    ctx: typer.Context,
    set_id: SetId,
    character: CharacterOptions,
    image: ImageOptions,
    output: OutputOptions,
    base_image: Annotated[str | None, BaseImage] = None,
) -> None:
    """Generate the pictures of a profile-picture set. Target: 2 min."""
    _run(
        ctx,
        submission(ProfilePicturesSubmission, character, image, base_image_id=base_image, set_id=set_id),
        output,
    )


@app.command()
@with_option_groups
def lora_training(
    ctx: typer.Context,
    character_id: Annotated[str, typer.Option(help="Id of the stored character.")],
    image: Annotated[
        list[str], typer.Option(help="Image to train on; give at least four.", metavar="JOB_ID/INDEX")
    ],
    trigger_word: Annotated[str, typer.Option(help="Word that stands for the character in prompts.")],
    output: OutputOptions,
    caption: Annotated[
        list[str] | None, typer.Option(help="Caption of an image; one per image, in the same order.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of training steps; the default is the provider's.")
    ] = None,
    provider: Annotated[
        Provider | None, typer.Option(help="Provider; the default is the policy's choice.")
    ] = None,
) -> None:
    """Train a LoRA of a character on its images. Target: 1 h."""
    request = training(
        character_id=character_id,
        images=image,
        captions=caption,
        trigger_word=trigger_word,
        steps=steps,
        provider=provider,
    )
    _run(ctx, request, output)


def _run(ctx: typer.Context, request: AnySubmission, output: OutputOptions) -> None:
    check_folder(output.out)
    if output.webhook:
        request = request.model_copy(update={"notify": notify(output.webhook)})
    submitted: list[JobProgress] = []
    try:
        completed = asyncio.run(_generate(ctx, request, output, submitted))
    except KeyboardInterrupt:
        for job in submitted:
            typer.echo(f"\nThe job continues. To show it: imagegen job {job.job_id}", err=True)
            typer.echo(f"To cancel it: imagegen cancel {job.job_id}", err=True)
        raise
    if not completed:
        raise typer.Exit(1)


async def _generate(
    ctx: typer.Context, request: AnySubmission, output: OutputOptions, submitted: list[JobProgress]
) -> bool:
    """Submit a request, follow its job and print the result; return False when the job failed."""
    async with connection_of(ctx).client("api", "notifier") as client:
        view = await client.submit(request)
        job = JobProgress(view.id, view.type)
        job.apply_view(view)
        submitted.append(job)
        if not output.wait:
            typer.echo(view.model_dump_json(indent=2) if output.as_json else view.id)
            return True
        await _show_progress(client, job)
        await _print_result(client, job, output)
    return job.status == "completed"


async def _show_progress(client: Client, job: JobProgress) -> None:
    console = Console(stderr=True)
    with live(console, lambda: job_with_images(job)):
        async for _ in follow(client, job):
            pass


async def _print_result(client: Client, job: JobProgress, output: OutputOptions) -> None:
    view, results = await client.job(job.job_id), await client.results(job.job_id)
    files = await download(client, results, output.out) if output.out else []
    print_job(view, results, files, as_json=output.as_json)

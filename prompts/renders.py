"""Conversion of an accepted request to its renders."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from contracts.base import AssetId
from contracts.captions import PLACEHOLDER, fill_trigger_word
from contracts.characters import Character, Lora
from contracts.generation import GenerationRequested, RenderSpec
from contracts.requests import (
    BaseImageRequest,
    CharacterSheetRequest,
    LoraTrainingRequest,
    ProfilePicturesRequest,
    RequestBase,
    StudioRequest,
)
from prompts.builder import Prompt, PromptBuilder
from prompts.catalogue import Catalogue, ImageType, Size
from prompts.checks import waits_for_lora
from prompts.seeds import seed_from, seed_of_image
from prompts.wording import clean, join

ImageRequest = BaseImageRequest | CharacterSheetRequest | StudioRequest | ProfilePicturesRequest


@dataclass(frozen=True, slots=True)
class Image:
    """A render and the prompt that it was made from."""

    spec: RenderSpec
    prompt: Prompt


def renders_of(
    requested: GenerationRequested, character: Character, catalogue: Catalogue
) -> tuple[RenderSpec, ...]:
    """Return all renders of a job, in order.

    Raises:
        NotAnAdult: if a prompt mentions a person below 18.
    """
    request = requested.request
    if isinstance(request, LoraTrainingRequest):
        return (_training(requested.job_id, request),)
    images = images_of(requested.job_id, request, character, catalogue)
    return tuple(image.spec for image in images)


def images_of(
    job_id: str, request: ImageRequest, character: Character, catalogue: Catalogue
) -> tuple[Image, ...]:
    """Return all images of a job, in order. Raises the errors of `renders_of`."""
    return tuple(_images_of(job_id, request, character, catalogue))


def first_image_of(
    job_id: str, request: ImageRequest, character: Character, catalogue: Catalogue
) -> Image | None:
    """Return the first image of a job. Raises the errors of `renders_of`."""
    return next(_images_of(job_id, request, character, catalogue), None)


def _images_of(
    job_id: str, request: ImageRequest, character: Character, catalogue: Catalogue
) -> Iterator[Image]:
    builder = _builder(job_id, request, request.type, character, catalogue)
    size = catalogue.aspects[request.aspect or catalogue.defaults[request.type].aspect]
    match request:
        case BaseImageRequest():
            return _candidates(request, builder, size)
        case CharacterSheetRequest():
            return _sheet(request, builder, size)
        case StudioRequest():
            return _studio(request, character, builder, size)
        case ProfilePicturesRequest():
            return _profile(request, character, builder, size)


def _builder(
    job_id: str, request: RequestBase, kind: ImageType, character: Character, catalogue: Catalogue
) -> PromptBuilder:
    default = catalogue.defaults[kind]
    return (
        PromptBuilder(catalogue)
        .add_character(character)
        .add_text(request.prompt)
        .add_negative(request.negative_prompt)
        .add_style(clean(request.style) or default.style)
        .add_quality(clean(request.quality) or default.quality)
        .allow_nsfw(request.include_nsfw)
        .with_seed(seed_from(job_id) if request.seed is None else request.seed)
    )


def _training(job_id: str, request: LoraTrainingRequest) -> RenderSpec:
    return RenderSpec(
        index=0,
        kind="lora_training",
        label="lora",
        prompt=request.trigger_word.strip(),
        seed=seed_from(job_id),
        training_images=request.images,
        captions=_captions(request),
        steps=request.steps,
    )


def _captions(request: LoraTrainingRequest) -> tuple[str, ...]:
    """Replace the placeholders in the captions with the trigger word. Empty captions stay empty."""
    word = request.trigger_word.strip()
    return tuple(fill_trigger_word(caption, word) for caption in request.captions)


def _candidates(request: BaseImageRequest, builder: PromptBuilder, size: Size) -> Iterator[Image]:
    framing = builder.catalogue.framing
    for index in range(request.count):
        variation = framing.candidates[index % len(framing.candidates)]
        prompt = builder.add_shot(framing.base_image, expression=variation).for_image(index).build()
        yield _image(index, f"candidate {index + 1}", prompt, size)


def _sheet(request: CharacterSheetRequest, builder: PromptBuilder, size: Size) -> Iterator[Image]:
    """Yield the poses of a sheet. Seeds depend on the face only, so a redrawn pose fits the others."""
    if request.seed is None:
        builder = builder.with_seed(seed_from(request.base_image_id))
    wanted = sorted(request.only or range(request.count))
    for index, place in enumerate(wanted):
        pose = builder.catalogue.poses[place]
        outfit = (request.include_nsfw and pose.nsfw) or pose.outfit
        posed = builder.add_shot(pose.framing, pose.angle, pose.pose, expression=pose.expression)
        prompt = posed.add_outfit(outfit).add_scene(f"{pose.background}, {pose.light}").for_image(place)
        varies = (pose.framing, pose.angle, pose.pose, pose.expression, outfit, pose.background, pose.light)
        yield _image(
            index,
            pose.name,
            prompt.build(),
            size,
            caption=join([PLACEHOLDER, *varies]),
            reference=request.base_image_id,
        )


def _studio(
    request: StudioRequest, character: Character, builder: PromptBuilder, size: Size
) -> Iterator[Image]:
    waits = waits_for_lora(request, character)
    lora = character.lora if request.mode != "face_swap" else None
    face = None if lora or waits else character.base_image_id
    coming = character.trigger_word if waits else None
    first = (
        builder.add_trigger(lora.trigger_word if lora else coming)
        .add_scene(request.scene)
        .add_outfit(request.outfit)
        .build()
    )
    for index in range(request.count):  # the images differ only in their seeds
        prompt = replace(first, seed=seed_of_image(first.seed, index))
        yield _image(index, str(index + 1), prompt, size, face=face, lora=lora)


def _profile(
    request: ProfilePicturesRequest, character: Character, builder: PromptBuilder, size: Size
) -> Iterator[Image]:
    chosen = builder.catalogue.profile_set(request.set_id)
    reference = character.base_image_id
    lora = None if reference else character.lora
    for index, shot in enumerate(chosen.shots if chosen else ()):
        prompt = (
            builder.add_trigger(lora.trigger_word if lora else None)
            .add_shot(shot.framing, expression=shot.expression)
            .add_outfit(shot.outfit)
            .add_scene(shot.background)
            .for_image(index)
            .build()
        )
        yield _image(index, shot.name, prompt, size, reference=reference, lora=lora)


def _image(
    index: int,
    label: str,
    prompt: Prompt,
    size: Size,
    *,
    caption: str = "",
    reference: AssetId | None = None,
    face: AssetId | None = None,
    lora: Lora | None = None,
) -> Image:
    spec = RenderSpec(
        index=index,
        label=label,
        prompt=prompt.prompt,
        tag_prompt=prompt.tag_prompt,
        negative_prompt=prompt.negative_prompt,
        caption=caption,
        seed=prompt.seed,
        width=size.width,
        height=size.height,
        nsfw_allowed=prompt.nsfw_allowed,
        reference=reference,
        face=face,
        lora=lora,
    )
    return Image(spec, prompt)

"""From a request that can be done to its images: one render each, and what it must show."""

from collections.abc import Iterator
from dataclasses import replace

from contracts.base import AssetId
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
from prompts.catalogue import Catalogue, ImageType, Pose, Size
from prompts.checks import waits_for_lora
from prompts.seeds import seed_from, seed_of_image
from prompts.wording import clean


def renders_of(
    requested: GenerationRequested, character: Character, catalogue: Catalogue
) -> tuple[RenderSpec, ...]:
    """All renders of a job, in order. Raises `NotAnAdult` when one would show a person below 18."""
    request = requested.request
    if isinstance(request, LoraTrainingRequest):
        return (_training(requested.job_id, request),)
    builder = _builder(requested.job_id, request, request.type, character, catalogue)
    size = catalogue.aspects[request.aspect or catalogue.defaults[request.type].aspect]
    match request:
        case BaseImageRequest():
            images = _candidates(request, builder, size)
        case CharacterSheetRequest():
            images = _sheet(request, builder, size)
        case StudioRequest():
            images = _studio(request, character, builder, size)
        case ProfilePicturesRequest():
            images = _profile(request, character, builder, size)
    return tuple(images)


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
    )


def _candidates(request: BaseImageRequest, builder: PromptBuilder, size: Size) -> Iterator[RenderSpec]:
    framing = builder.catalogue.framing
    for index in range(request.count):
        variation = framing.candidates[index % len(framing.candidates)]
        prompt = builder.add_shot(framing.base_image, expression=variation).for_image(index).build()
        yield _image(index, f"candidate {index + 1}", prompt, size)


def _sheet(request: CharacterSheetRequest, builder: PromptBuilder, size: Size) -> Iterator[RenderSpec]:
    for index, pose in enumerate(builder.catalogue.poses[: request.count]):
        posed = builder.add_shot(
            pose.framing,
            pose.angle,
            _body(pose, allowed=request.include_nsfw),
            expression=pose.expression,
        )
        prompt = posed.for_image(index).build()
        yield _image(index, pose.name, prompt, size, reference=request.base_image_id)


def _body(pose: Pose, *, allowed: bool) -> str:
    return pose.nsfw if allowed and pose.nsfw else pose.pose


def _studio(
    request: StudioRequest, character: Character, builder: PromptBuilder, size: Size
) -> Iterator[RenderSpec]:
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
    for index in range(request.count):  # only the seed differs
        prompt = replace(first, seed=seed_of_image(first.seed, index))
        yield _image(index, str(index + 1), prompt, size, face=face, lora=lora)


def _profile(
    request: ProfilePicturesRequest, character: Character, builder: PromptBuilder, size: Size
) -> Iterator[RenderSpec]:
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
    reference: AssetId | None = None,
    face: AssetId | None = None,
    lora: Lora | None = None,
) -> RenderSpec:
    return RenderSpec(
        index=index,
        label=label,
        prompt=prompt.prompt,
        negative_prompt=prompt.negative_prompt,
        seed=prompt.seed,
        width=size.width,
        height=size.height,
        nsfw_allowed=prompt.nsfw_allowed,
        reference=reference,
        face=face,
        lora=lora,
    )

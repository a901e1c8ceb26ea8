"""Requests of the demo: each type over Kafka and over HTTP.

Mara's character sheet starts a chain: after it her LoRA is trained, and then used for pictures.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from contracts.base import GenerationType
from contracts.http import (
    AnySubmission,
    BaseImageSubmission,
    CharacterSheetSubmission,
    ProfilePicturesSubmission,
    StudioSubmission,
)

Transport = Literal["Kafka", "HTTP"]
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)

MARA: dict[str, Any] = {
    "name": "Mara",
    "age": 27,
    "appearance": {"gender": "woman", "hair_color": "copper red", "hair_style": "long", "eye_color": "green"},
    "identity": {"occupation": "marine biologist", "personality": "curious and warm"},
}
ELIAS: dict[str, Any] = {
    "name": "Elias",
    "age": "thirty-four",
    "appearance": {
        "gender": "man",
        "hair_color": "black",
        "hair_style": "short curls",
        "details": "a trimmed beard",
    },
    "identity": {"occupation": "jazz pianist", "personality": "calm"},
}
SUBMISSIONS: dict[str, type[AnySubmission]] = {
    "base_image": BaseImageSubmission,
    "character_sheet": CharacterSheetSubmission,
    "studio": StudioSubmission,
    "profile_pictures": ProfilePicturesSubmission,
}


@dataclass(frozen=True)
class DemoRequest:
    """A request with its title and transport."""

    title: str
    transport: Transport
    request: dict[str, Any]
    then: tuple["DemoRequest", ...] = ()
    """Requests that the platform makes once this one is completed: the next steps of its chain."""

    @property
    def type(self) -> GenerationType:
        kind: GenerationType = self.request["type"]
        return kind

    @property
    def folder(self) -> str:
        """Name of the folder for its images."""
        words = "".join(char if char.isalnum() else " " for char in self.title.lower())
        return "-".join(words.split())

    @property
    def follow_ups(self) -> tuple[dict[str, Any], ...]:
        """Bodies of the requests in `then`."""
        return tuple(step.request for step in self.then)

    def submission(self, job_id: str) -> AnySubmission:
        """Return the submission to the API."""
        kind = SUBMISSIONS[self.type]
        return kind.model_validate(self.request | {"job_id": job_id})


FIRST_REQUESTS: tuple[DemoRequest, ...] = (
    DemoRequest("Three faces for Mara", "Kafka", {"type": "base_image", "character": MARA}),
    DemoRequest(
        "Three faces for Elias",
        "HTTP",
        {"type": "base_image", "character": ELIAS, "style": "cinematic", "provider": "fal"},
    ),
)
"""Base images of two characters. All other requests need one of them."""

TRAINING = DemoRequest("Mara’s LoRA, trained on her sheet", "Kafka", {"type": "lora_training"})
WITH_LORA = DemoRequest(
    "Mara in the old library, by her LoRA",
    "Kafka",
    {"type": "studio", "scene": "library", "outfit": "business", "mode": "lora", "count": 2},
)
JOBS = 11
"""Four per transport, two steps of the chain, and one that waits for the LoRA."""
LORAS = 1


def requests_after(first: DemoRequest, base_image: str) -> tuple[DemoRequest, ...]:
    """Return the requests that use a base image of the first request, given as `{job_id}/{index}`."""
    character = first.request["character"] | {"base_image_id": base_image}
    over_kafka = first.transport == "Kafka"
    requests = _over_kafka(base_image) if over_kafka else _over_http(base_image)
    return tuple(
        DemoRequest(
            title.format(name=character["name"]),
            first.transport,
            {"character": character} | request,
            (TRAINING, WITH_LORA) if over_kafka and request["type"] == "character_sheet" else (),
        )
        for title, request in requests.items()
    )


def request_waiting_for_lora(character_id: str) -> DemoRequest:
    """Return a request that names a stored character and waits for its LoRA."""
    request = {
        "type": "studio",
        "character_id": character_id,
        "scene": "snow",
        "outfit": "winter",
        "mode": "lora",
    }
    return DemoRequest("Mara in the snow, once her LoRA is ready", "HTTP", request | {"wait_for_lora": True})


def _over_kafka(base_image: str) -> dict[str, dict[str, Any]]:
    """Return requests without a provider: the policy chooses ComfyUI, and Fal for the quick face swap."""
    scene = {"scene": "sunset-beach", "outfit": "sundress", "mode": "face_swap", "count": 2}
    return {
        "{name}’s character sheet": {"type": "character_sheet", "base_image_id": base_image},
        "{name} at the beach, at once": {"type": "studio"} | scene,
        "{name}’s classic profile pictures": {"type": "profile_pictures", "set_id": "classic"},
    }


def _over_http(base_image: str) -> dict[str, dict[str, Any]]:
    """Return requests that name their provider."""
    modal, fal = {"style": "cinematic", "provider": "modal"}, {"style": "cinematic", "provider": "fal"}
    scene = {"scene": "neon-city", "outfit": "leather-jacket", "mode": "face_swap", "count": 2}
    return {
        "{name}’s character sheet": {"type": "character_sheet", "base_image_id": base_image} | modal,
        "{name} in the neon city": {"type": "studio"} | scene | modal,
        "{name}’s professional profile pictures": {"type": "profile_pictures", "set_id": "professional"}
        | fal,
    }

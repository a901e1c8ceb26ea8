"""Requests of the demo: a character's whole story over Kafka, and each type over HTTP.

Mara's is a chain: her sheet, then by itself her LoRA, then pictures with it.
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

Way = Literal["Kafka", "HTTP"]
WAYS: tuple[Way, ...] = get_args(Way)

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
class Wish:
    """A request, what to call it, and how it is said."""

    title: str
    way: Way
    request: dict[str, Any]
    then: tuple["Wish", ...] = ()
    """The requests that the platform makes by itself once this one is done."""

    @property
    def type(self) -> GenerationType:
        kind: GenerationType = self.request["type"]
        return kind

    @property
    def folder(self) -> str:
        """The folder of its images."""
        words = "".join(letter if letter.isalnum() else " " for letter in self.title.lower())
        return "-".join(words.split())

    @property
    def follow_ups(self) -> tuple[dict[str, Any], ...]:
        """`then`, as the request says it."""
        return tuple(wish.request for wish in self.then)

    def submission(self, job_id: str) -> AnySubmission:
        """For the api."""
        kind = SUBMISSIONS[self.type]
        return kind.model_validate(self.request | {"job_id": job_id})


FIRST: tuple[Wish, ...] = (
    Wish("Three faces for Mara", "Kafka", {"type": "base_image", "character": MARA}),
    Wish(
        "Three faces for Elias",
        "HTTP",
        {"type": "base_image", "character": ELIAS, "style": "cinematic", "provider": "fal"},
    ),
)
"""Nothing has to exist for these."""

LORA = Wish("Mara’s LoRA, trained on her sheet", "Kafka", {"type": "lora_training"})
BY_LORA = Wish(
    "Mara in the old library, by her LoRA",
    "Kafka",
    {"type": "studio", "scene": "library", "outfit": "business", "mode": "lora", "count": 2},
)
JOBS = 11
"""Four of each way, the two that a chain asks for by itself, and one that waits for the LoRA."""
LORAS = 1


def then(first: Wish, base_image: str) -> tuple[Wish, ...]:
    """Return the requests for a chosen face: `{job_id}/{index}` of an image of the first wish."""
    who = first.request["character"] | {"base_image_id": base_image}
    wishes = _over_kafka(base_image) if first.way == "Kafka" else _over_http(base_image)
    return tuple(
        Wish(
            title.format(name=who["name"]),
            first.way,
            {"character": who} | request,
            (LORA, BY_LORA) if first.way == "Kafka" and request["type"] == "character_sheet" else (),
        )
        for title, request in wishes.items()
    )


def waiting(character_id: str) -> Wish:
    """About a character that is stored by now: it waits for her LoRA."""
    request = {
        "type": "studio",
        "character_id": character_id,
        "scene": "snow",
        "outfit": "winter",
        "mode": "lora",
    }
    return Wish("Mara in the snow, once her LoRA is ready", "HTTP", request | {"wait_for_lora": True})


def _over_kafka(base_image: str) -> dict[str, dict[str, Any]]:
    """The policy says who renders: ComfyUI, and Fal for the quick face swap."""
    scene = {"scene": "sunset-beach", "outfit": "sundress", "mode": "face_swap", "count": 2}
    return {
        "{name}’s character sheet": {"type": "character_sheet", "base_image_id": base_image},
        "{name} at the beach, at once": {"type": "studio"} | scene,
        "{name}’s classic profile pictures": {"type": "profile_pictures", "set_id": "classic"},
    }


def _over_http(base_image: str) -> dict[str, dict[str, Any]]:
    """These name the provider themselves."""
    modal, fal = {"style": "cinematic", "provider": "modal"}, {"style": "cinematic", "provider": "fal"}
    scene = {"scene": "neon-city", "outfit": "leather-jacket", "mode": "face_swap", "count": 2}
    return {
        "{name}’s character sheet": {"type": "character_sheet", "base_image_id": base_image} | modal,
        "{name} in the neon city": {"type": "studio"} | scene | modal,
        "{name}’s professional profile pictures": {"type": "profile_pictures", "set_id": "professional"}
        | fal,
    }

"""What the demo asks for: one request of each type as another service would say it, one over HTTP."""

from dataclasses import dataclass
from typing import Any, Literal

from contracts.base import GenerationType
from contracts.http import (
    AnySubmission,
    BaseImageSubmission,
    CharacterSheetSubmission,
    ProfilePicturesSubmission,
    StudioSubmission,
)

Way = Literal["Kafka", "HTTP"]

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

    @property
    def type(self) -> GenerationType:
        kind: GenerationType = self.request["type"]
        return kind

    @property
    def folder(self) -> str:
        """Where its images go."""
        return f"{self.type.replace('_', '-')}-{self.way.lower()}"

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

JOBS = len(FIRST) * len(SUBMISSIONS)


def then(first: Wish, base_image: str) -> tuple[Wish, ...]:
    """What is asked for once a face is chosen: `{job_id}/{index}` of the first wish."""
    who = first.request["character"] | {"base_image_id": base_image}
    name, style = who["name"], first.request.get("style")
    look = {"character": who} | ({"style": style} if style else {})
    place = STUDIOS[first.way]
    sheet = look | {"type": "character_sheet", "base_image_id": base_image}
    profile = look | {"type": "profile_pictures", "set_id": SETS[first.way]}
    return (
        Wish(f"{name}'s character sheet", first.way, sheet),
        Wish(f"{name} in the studio", first.way, look | {"type": "studio", "count": 2} | place),
        Wish(f"{name}'s profile pictures: {SETS[first.way]}", first.way, profile),
    )


STUDIOS: dict[Way, dict[str, Any]] = {
    "Kafka": {"scene": "sunset-beach", "outfit": "sundress", "mode": "face_swap"},
    "HTTP": {"scene": "neon-city", "outfit": "leather-jacket", "mode": "face_swap", "provider": "modal"},
}
SETS: dict[Way, str] = {"Kafka": "classic", "HTTP": "professional"}

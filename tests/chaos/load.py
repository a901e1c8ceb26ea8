"""A seeded mix of requests over Kafka and HTTP: all types, chains, cancels, repetitions, invalid input."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

TENANTS = ("acme", "globex", "initech")
NAMES = ("Mara", "Elias", "Noor", "Ivo", "Lena")
SCENES = ("beach", "sunset-beach", "neon-city", "a quiet library")
SETS = ("classic", "professional")
WEIGHTS = {
    "base_image": 30,
    "studio": 40,
    "face_swap": 8,
    "character_sheet": 5,
    "profile_pictures": 5,
    "lora_training": 3,
    "chain": 4,
    "nonsense": 5,
}
"""Number in a hundred requests."""


@dataclass(frozen=True)
class Faces:
    """Stored images of one tenant, made before any fault, as asset ids; and a character."""

    images: tuple[str, ...]
    """Ids of base images."""
    sheet: tuple[str, ...]
    """Ids of the images of the character's sheet, to train on."""
    character_id: str


@dataclass(frozen=True)
class Order:
    """One request, with its channel, repetition and cancellation."""

    job_id: str
    tenant: str
    kind: str
    request: dict[str, Any]
    then: tuple[dict[str, Any], ...] = ()
    over_http: bool = False
    webhook: str | None = None
    repeated: bool = False
    cancelled_after: float | None = None
    """Seconds after the submission, or None."""


def orders(count: int, rng: Random, faces: dict[str, Faces], webhooks: Sequence[str]) -> list[Order]:
    """Return a number of orders; the same generator gives the same orders."""
    kinds = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    for position, kind in enumerate(WEIGHTS):  # at least one of each
        kinds[position % count] = kind
    return [_order(kind, rng, faces, webhooks) for kind in kinds]


def _order(kind: str, rng: Random, faces: dict[str, Faces], webhooks: Sequence[str]) -> Order:
    tenant = rng.choice(TENANTS)
    request, then = _request(kind, rng, faces[tenant])
    return Order(
        job_id=str(UUID(int=rng.getrandbits(128), version=4)),
        tenant=tenant,
        kind=kind,
        request=request,
        then=then,
        over_http=kind not in ("nonsense", "chain") and rng.random() < 0.3,
        webhook=rng.choice(webhooks) if rng.random() < 0.6 else None,
        repeated=rng.random() < 0.1,
        cancelled_after=rng.uniform(0.0, 3.0) if rng.random() < 0.04 else None,
    )


def _request(kind: str, rng: Random, faces: Faces) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    who: dict[str, Any] = {"name": rng.choice(NAMES), "age": rng.randint(20, 60)}
    face = rng.choice(faces.images)
    known = who | {"base_image_id": face}
    match kind:
        case "base_image":
            return {"type": kind, "character": who, "count": rng.randint(1, 3)}, ()
        case "studio":
            return _studio(who, rng), ()
        case "face_swap":
            return _studio(known, rng) | {"mode": "face_swap"}, ()
        case "character_sheet":
            return {"type": kind, "character": known, "base_image_id": face}, ()
        case "profile_pictures":
            return {"type": kind, "character": known, "set_id": rng.choice(SETS)}, ()
        case "lora_training":
            return _training(rng, faces), ()
        case "chain":
            sheet = {"type": "character_sheet", "character": known, "base_image_id": face}
            shots = {"type": "studio", "scene": rng.choice(SCENES), "count": 2, "mode": "lora"}
            return sheet, ({"type": "lora_training"}, shots)
    return {"type": "studio", "character": who | {"age": 12}, "count": 1}, ()


def _studio(who: dict[str, Any], rng: Random) -> dict[str, Any]:
    return {
        "type": "studio",
        "character": who,
        "scene": rng.choice(SCENES),
        "count": rng.choice((1, 1, 1, 2, 3)),
    }


def _training(rng: Random, faces: Faces) -> dict[str, Any]:
    return {
        "type": "lora_training",
        "character_id": faces.character_id,
        "images": rng.sample(faces.sheet, 4),
        "trigger_word": "zyxmara",
        "steps": 100,
    }

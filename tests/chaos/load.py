"""A seeded mix of requests: all types, chains, cancels, repetitions, nonsense; over Kafka and HTTP."""

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
"""In a hundred requests."""


@dataclass(frozen=True)
class Faces:
    """Stored images of one tenant, made before anything is broken, as asset ids; and a character."""

    images: tuple[str, ...]
    """Base images."""
    sheet: tuple[str, ...]
    """The character's sheet, to train on."""
    character_id: str


@dataclass(frozen=True)
class Order:
    """One request, and what else is done about it."""

    job_id: str
    tenant: str
    kind: str
    request: dict[str, Any]
    then: tuple[dict[str, Any], ...] = ()
    over_http: bool = False
    webhook: str | None = None
    said_twice: bool = False
    cancelled_after: float | None = None
    """Seconds."""


def orders(count: int, dice: Random, faces: dict[str, Faces], webhooks: Sequence[str]) -> list[Order]:
    """As many orders; the same dice give the same."""
    kinds = dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    for position, kind in enumerate(WEIGHTS):  # at least one of each
        kinds[position % count] = kind
    return [_order(kind, dice, faces, webhooks) for kind in kinds]


def _order(kind: str, dice: Random, faces: dict[str, Faces], webhooks: Sequence[str]) -> Order:
    tenant = dice.choice(TENANTS)
    request, then = _request(kind, dice, faces[tenant])
    return Order(
        job_id=str(UUID(int=dice.getrandbits(128), version=4)),
        tenant=tenant,
        kind=kind,
        request=request,
        then=then,
        over_http=kind not in ("nonsense", "chain") and dice.random() < 0.3,
        webhook=dice.choice(webhooks) if dice.random() < 0.6 else None,
        said_twice=dice.random() < 0.1,
        cancelled_after=dice.uniform(0.0, 3.0) if dice.random() < 0.04 else None,
    )


def _request(kind: str, dice: Random, faces: Faces) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    who: dict[str, Any] = {"name": dice.choice(NAMES), "age": dice.randint(20, 60)}
    face = dice.choice(faces.images)
    known = who | {"base_image_id": face}
    match kind:
        case "base_image":
            return {"type": kind, "character": who, "count": dice.randint(1, 3)}, ()
        case "studio":
            return _studio(who, dice), ()
        case "face_swap":
            return _studio(known, dice) | {"mode": "face_swap"}, ()
        case "character_sheet":
            return {"type": kind, "character": known, "base_image_id": face}, ()
        case "profile_pictures":
            return {"type": kind, "character": known, "set_id": dice.choice(SETS)}, ()
        case "lora_training":
            return _training(dice, faces), ()
        case "chain":
            sheet = {"type": "character_sheet", "character": known, "base_image_id": face}
            shots = {"type": "studio", "scene": dice.choice(SCENES), "count": 2, "mode": "lora"}
            return sheet, ({"type": "lora_training"}, shots)
    return {"type": "studio", "character": who | {"age": 12}, "count": 1}, ()


def _studio(who: dict[str, Any], dice: Random) -> dict[str, Any]:
    return {
        "type": "studio",
        "character": who,
        "scene": dice.choice(SCENES),
        "count": dice.choice((1, 1, 1, 2, 3)),
    }


def _training(dice: Random, faces: Faces) -> dict[str, Any]:
    return {
        "type": "lora_training",
        "character_id": faces.character_id,
        "images": dice.sample(faces.sheet, 4),
        "trigger_word": "zyxmara",
        "steps": 100,
    }

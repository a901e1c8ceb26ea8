"""What orders refer to, made before anything is broken: base images and a character for each tenant."""

import asyncio
from random import Random

from tests.chaos.asking import Upstream
from tests.chaos.load import TENANTS, Faces, Order, orders
from tests.chaos.watching import Watcher

WHO = {"name": "Mara", "age": 30}
JOBS_OF_A_TENANT = 3
"""The base images, the sheet and the training."""
PATIENCE_SECONDS = 180.0


async def make_faces(
    upstream: Upstream, watcher: Watcher, dice: Random
) -> tuple[dict[str, Faces], list[Order]]:
    """Three base images and one stored character for each tenant; and what was ordered for it."""
    images = [_base_image(tenant, dice) for tenant in TENANTS]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await _make(upstream, watcher, images, len(images))
        sheets = [_sheet(image, dice) for image in images]
        await _make(upstream, watcher, sheets, JOBS_OF_A_TENANT * len(images))
    made = {
        image.tenant: Faces(
            images=tuple(f"{image.job_id}/{index}" for index in range(3)),
            sheet=tuple(f"{sheet.job_id}/{index}" for index in range(7)),
            character_id=sheet.job_id,
        )
        for image, sheet in zip(images, sheets, strict=True)
    }
    return made, [*images, *sheets]


async def _make(upstream: Upstream, watcher: Watcher, wanted: list[Order], ended: int) -> None:
    """Ask, and wait until so many jobs have ended in all."""
    for order in wanted:
        await upstream.ask(order)
    while len(watcher.ended) < ended:
        await asyncio.sleep(0.1)


def _base_image(tenant: str, dice: Random) -> Order:
    return Order(_job_id(dice), tenant, "base_image", {"type": "base_image", "character": WHO})


def _sheet(image: Order, dice: Random) -> Order:
    """The beginning of a chain: its character is stored under its id."""
    face = f"{image.job_id}/0"
    request = {
        "type": "character_sheet",
        "character": WHO | {"base_image_id": face},
        "base_image_id": face,
    }
    return Order(_job_id(dice), image.tenant, "chain", request, then=({"type": "lora_training"},))


def _job_id(dice: Random) -> str:
    (plain,) = orders(1, dice, {tenant: Faces(("-",), tuple("1234567"), "-") for tenant in TENANTS}, ("-",))
    return plain.job_id

"""Base images and a character for each tenant, made before any fault, for orders to refer to."""

import asyncio
from random import Random

from tests.chaos.load import TENANTS, Faces, Order, orders
from tests.chaos.upstream import Upstream
from tests.chaos.watching import Watcher

WHO = {"name": "Mara", "age": 30}
JOBS_OF_A_TENANT = 3
"""The base images, the sheet and the training of one tenant."""
PATIENCE_SECONDS = 180.0


async def make_faces(
    upstream: Upstream, watcher: Watcher, rng: Random
) -> tuple[dict[str, Faces], list[Order]]:
    """Make three base images and one stored character for each tenant; return them with their orders."""
    images = [_base_image(tenant, rng) for tenant in TENANTS]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await _make(upstream, watcher, images, len(images))
        sheets = [_sheet(image, rng) for image in images]
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
    """Submit orders and wait until the number of ended jobs reaches `ended`."""
    for order in wanted:
        await upstream.ask(order)
    while len(watcher.ended) < ended:
        await asyncio.sleep(0.1)


def _base_image(tenant: str, rng: Random) -> Order:
    return Order(_job_id(rng), tenant, "base_image", {"type": "base_image", "character": WHO})


def _sheet(image: Order, rng: Random) -> Order:
    """Return the order that begins a chain; its character is stored under the same id."""
    face = f"{image.job_id}/0"
    request = {
        "type": "character_sheet",
        "character": WHO | {"base_image_id": face},
        "base_image_id": face,
    }
    return Order(_job_id(rng), image.tenant, "chain", request, then=({"type": "lora_training"},))


def _job_id(rng: Random) -> str:
    (plain,) = orders(1, rng, {tenant: Faces(("-",), tuple("1234567"), "-") for tenant in TENANTS}, ("-",))
    return plain.job_id

"""Drawing in worker threads, so that it does not block other requests."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from deploy.simulators import drawing
from deploy.simulators.behaviour import Outcome
from deploy.simulators.drawing import PictureSpec


async def render_in_thread(
    spec: PictureSpec,
    outcome: Outcome,
    *,
    tiny: bool,
    black_if_flagged: bool = True,
    kind: str = "png",
    text: Mapping[str, str] | None = None,
) -> bytes:
    if tiny:
        return drawing.tiny(kind, spec.width, spec.height)
    if outcome.nsfw and black_if_flagged:
        spec = replace(spec, black=True)
    return await asyncio.to_thread(drawing.render, spec, kind, text)

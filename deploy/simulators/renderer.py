"""Draws in threads, so that a picture being drawn does not hold up anybody's request."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from deploy.simulators import drawing
from deploy.simulators.behaviour import Outcome
from deploy.simulators.drawing import Sketch


async def make(
    sketch: Sketch,
    outcome: Outcome,
    *,
    tiny: bool,
    black_if_flagged: bool = True,
    kind: str = "png",
    text: Mapping[str, str] | None = None,
) -> bytes:
    if tiny:
        return drawing.tiny(kind, sketch.width, sketch.height)
    if outcome.nsfw and black_if_flagged:
        sketch = replace(sketch, black=True)
    return await asyncio.to_thread(drawing.render, sketch, kind, text)

"""Measure the processor time of planning: `python -m prompts.timing`.

Each request has unique words, so that only texts of the catalogue are cached.
"""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from contracts.characters import Appearance, Character
from contracts.generation import GenerationRequested
from contracts.requests import BaseImageRequest
from prompts.catalogue import default_catalogue
from prompts.planner import plan

_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
_ROUNDS, _REQUESTS = 15, 40
_JOB = "0190a6a0-0000-7000-8000-000000000001"


def main() -> None:
    """Plan base images with one and with three candidates, and print the fastest round."""
    for count in (1, 3):
        numbers = iter(range(_ROUNDS * _REQUESTS + 1))
        _planned(next(numbers), count)
        each = min(_timed(numbers, count) for _ in range(_ROUNDS)) / _REQUESTS
        sys.stdout.write(f"base image, {count} candidates: {1000 * each:.2f} ms\n")


def _timed(numbers: Iterator[int], count: int) -> float:
    start = time.process_time()
    for number in islice(numbers, _REQUESTS):
        _planned(number, count)
    return time.process_time() - start


def _planned(number: int, count: int) -> None:
    looks = Appearance(
        gender="woman",
        ethnicity="Northern European",
        skin_tone="fair",
        hair_color=f"copper red {count}{number}",
        hair_length="shoulder-length",
        hair_style="wavy",
        eye_color="green",
        face="high cheekbones",
        face_shape="oval",
        body_type="athletic",
        height="tall",
        details=f"freckles across the nose, tattoo number {count}{number}",
    )
    character = Character(name="Mara", age=27, appearance=looks)
    request = BaseImageRequest(
        type="base_image",
        character=character,
        count=count,
        prompt=f"a warm evening light, number {count}{number}",
    )
    requested = GenerationRequested(job_id=_JOB, tenant="acme", user_id="u1", request=request)
    plan(requested, character=None, requested_at=_AT, catalogue=default_catalogue())


if __name__ == "__main__":
    main()

"""Start-up names the indexes that it waits for, and does not wait for ever."""

import asyncio
from typing import Any

import pytest
from pymongo import IndexModel

from shared.errors import StartupError
from shared.mongo import ensure_indexes


class Building:
    """A collection whose server builds indexes for some seconds."""

    name = "jobs"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def create_indexes(self, indexes: list[IndexModel]) -> None:
        await asyncio.sleep(self._seconds)


async def test_indexes_are_named_while_they_are_built() -> None:
    reports: list[tuple[str, str | None]] = []
    collection: Any = Building(100)
    await ensure_indexes(
        collection, IndexModel("a"), report=lambda what, why: reports.append((what, why)), seconds=200
    )
    assert reports == [
        ("indexes of jobs", "waiting for MongoDB to build the indexes of jobs"),
        ("indexes of jobs", None),
    ]


async def test_indexes_that_take_too_long_end_the_start_with_what_to_do() -> None:
    collection: Any = Building(1000)
    with pytest.raises(StartupError, match="not built the indexes of jobs after 200 s"):
        await ensure_indexes(collection, IndexModel("a"), seconds=200)

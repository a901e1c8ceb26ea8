"""Background work ends with its process, and its end or failure ends the process."""

import asyncio

import pytest

from shared.background import Background
from shared.observability.health import Health


async def forever() -> None:
    await asyncio.sleep(3600)


async def nothing() -> None:
    return


async def failing() -> None:
    raise KeyError("a bug")


async def test_work_is_cancelled_at_the_end() -> None:
    background = Background("test", Health(), vital=True)
    background.add("forever", forever)
    async with asyncio.TaskGroup() as group:
        background.start(group)
        await asyncio.sleep(0)
        await background.stop(1.0)


async def test_work_that_takes_long_to_end_is_cancelled_again() -> None:
    cancelled = 0

    async def stubborn() -> None:
        nonlocal cancelled
        while cancelled < 2:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled += 1
        raise asyncio.CancelledError

    background = Background("test", Health(), vital=True)
    background.add("stubborn", stubborn)
    async with asyncio.TaskGroup() as group:
        background.start(group)
        await asyncio.sleep(0)
        await background.stop(0.01)
    assert cancelled == 2


@pytest.mark.parametrize(
    ("work", "text"), [(nothing, "background loop work has ended by itself"), (failing, "a bug")]
)
async def test_work_that_ends_or_fails_ends_the_process(work: object, text: str) -> None:
    background = Background("test", Health(), vital=True)
    background.add("work", work)  # type: ignore[arg-type]
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.TaskGroup() as group:
            background.start(group)
    assert text in str(raised.value.exceptions[0])

"""The event loop of the prompt-builder while it plans a large text."""

import asyncio

from contracts.generation import GenerationPlanned, GenerationRequested
from tests.fakes.builders import JOB
from tests.unit.prompt_builder.harness import PromptBuilderHarness

HOSTILE = "she is one of " * 280


def a_request(**fields: object) -> GenerationRequested:
    character = {"name": "Mara", "age": 27}
    request = {"type": "studio", "character": character, **fields}
    return GenerationRequested.model_validate(
        {"job_id": JOB, "tenant": "acme", "user_id": "ann", "request": request}
    )


async def test_the_event_loop_runs_while_a_hostile_text_is_searched() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    turns = 0
    request = a_request(prompt=HOSTILE)
    assert await PromptBuilderHarness().receive(request) == [GenerationPlanned.topic]
    counting.cancel()
    assert turns > 20

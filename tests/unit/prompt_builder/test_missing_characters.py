"""A request whose character is not stored waits unchanged at the dispatcher."""

from collections.abc import Iterable, Sequence
from typing import Any

from contracts.characters import Character
from contracts.generation import GenerationPlanned, GenerationRejected, GenerationRequested, GenerationWaiting
from prompts.catalogue import default_catalogue
from prompts.planner import plan, request_hash
from services.prompt_builder.handlers import StoredCharacter, handlers
from tests.fakes.builders import START, received
from tests.fakes.subscriptions import Handlers
from tests.unit.prompts.examples import AT, CHARACTER, STORED_MIA, requested

ASKED = requested(character_id=CHARACTER, prompt="a beach")
CHOICE = "3f1c9a52-8d0e-4f6a-9b1e-6a1d2c3b4a01"


class PromptBuilderHarness:
    """A prompt-builder and the characters that are stored."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], Character] = {}
        self.choices: frozenset[str] = frozenset()
        self._handlers = Handlers()
        handlers(self._handlers.subscribe, self, default_catalogue())

    async def find(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], StoredCharacter]:
        found = (key for key in wanted if key in self.stored)
        return {key: StoredCharacter(self.stored[key], self.choices) for key in found}

    async def receive(self, *requests: GenerationRequested) -> Sequence[Any]:
        batch = [received(request) for request in requests]
        return [each.message for each in await self._handlers.call("prompt-builder", batch)]


async def test_a_request_for_a_character_that_is_not_stored_waits_with_all_its_fields() -> None:
    [waiting] = await PromptBuilderHarness().receive(ASKED)
    assert isinstance(waiting, GenerationWaiting)
    assert waiting.requested == ASKED.model_copy(update={"requested_at": START})
    assert (waiting.character_id, waiting.request_hash) == (CHARACTER, request_hash(ASKED))
    assert [reason.message for reason in waiting.reasons] == [f"character {CHARACTER} does not exist"]


async def test_a_request_is_planned_after_its_wait_as_without_one() -> None:
    harness = PromptBuilderHarness()
    [waiting] = await harness.receive(ASKED)
    harness.stored["acme", CHARACTER] = STORED_MIA
    [again], [straight] = await harness.receive(waiting.requested), await harness.receive(ASKED)
    assert isinstance(again, GenerationPlanned)
    assert again == straight


async def test_a_wait_has_the_reasons_of_the_rejection() -> None:
    [waiting] = await PromptBuilderHarness().receive(ASKED)
    rejected = plan(ASKED, character=None, requested_at=AT, catalogue=default_catalogue())
    assert isinstance(rejected, GenerationRejected)
    assert waiting.reasons == rejected.reasons


async def test_a_request_that_no_character_would_help_is_rejected_at_once_for_that() -> None:
    [rejected] = await PromptBuilderHarness().receive(
        requested("profile_pictures", character_id=CHARACTER, set_id="none")
    )
    assert isinstance(rejected, GenerationRejected)
    assert [reason.field for reason in rejected.reasons] == ["request.set_id"]


async def test_another_tenants_character_of_the_same_id_is_not_taken() -> None:
    harness = PromptBuilderHarness()
    harness.stored["other", CHARACTER] = STORED_MIA
    [waiting] = await harness.receive(ASKED)
    assert isinstance(waiting, GenerationWaiting)


async def test_a_batch_keeps_its_order() -> None:
    harness = PromptBuilderHarness()
    harness.stored["acme", CHARACTER] = STORED_MIA
    kinds = [
        type(each) for each in await harness.receive(ASKED, requested(character_id="nobody"), requested())
    ]
    assert kinds == [GenerationPlanned, GenerationWaiting, GenerationPlanned]


async def test_a_request_after_the_choice_of_a_face_waits_until_that_choice_is_stored() -> None:
    harness = PromptBuilderHarness()
    harness.stored["acme", CHARACTER] = STORED_MIA
    after_a_choice = ASKED.model_copy(update={"awaited_choice": CHOICE})
    [waiting] = await harness.receive(after_a_choice)
    assert isinstance(waiting, GenerationWaiting)
    assert waiting.requested.awaited_choice == CHOICE
    harness.choices = frozenset({CHOICE})
    [planned] = await harness.receive(waiting.requested)
    assert isinstance(planned, GenerationPlanned)

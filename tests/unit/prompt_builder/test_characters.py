"""Stored characters, as the prompt-builder reads them."""

from typing import cast

from services.prompt_builder.characters import MongoCharacters
from shared.mongo import Collection
from tests.fakes.documents import FakeCollection
from tests.unit.prompts.examples import CHARACTER, MIA_WITH_LORA, STORED_MIA

OTHER = "0190a6a0-0000-7000-8000-0000000000c2"
RECORD: dict[str, object] = {"_id": CHARACTER, "tenant": "acme", "character": STORED_MIA.model_dump()}


def characters(*documents: dict[str, object]) -> MongoCharacters:
    return MongoCharacters(cast(Collection, FakeCollection(*documents)))


async def test_characters_are_found_with_their_word_and_their_lora() -> None:
    trained: dict[str, object] = {"_id": OTHER, "tenant": "acme", "character": MIA_WITH_LORA.model_dump()}
    wanted = {("acme", CHARACTER), ("acme", OTHER)}
    found = await characters(RECORD, trained).find(wanted)
    assert found == {("acme", CHARACTER): STORED_MIA, ("acme", OTHER): MIA_WITH_LORA}


async def test_another_tenants_character_does_not_exist() -> None:
    assert await characters(RECORD).find({("other", CHARACTER)}) == {}


async def test_a_character_that_nobody_has_described_yet_does_not_exist() -> None:
    assert await characters(RECORD | {"character": None}).find({("acme", CHARACTER)}) == {}

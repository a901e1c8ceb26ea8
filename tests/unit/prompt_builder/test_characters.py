"""Stored characters, as the prompt-builder reads them."""

from typing import cast

from contracts.characters import Character, CharacterRecord, character_key
from services.prompt_builder.characters import MongoCharacters
from services.prompt_builder.handlers import StoredCharacter
from shared.mongo import Collection
from tests.fakes.documents import FakeCollection
from tests.unit.prompts.examples import AT, CHARACTER, MIA_WITH_LORA, STORED_MIA

OTHER = "0190a6a0-0000-7000-8000-0000000000c2"


def a_record(character_id: str, character: Character) -> dict[str, object]:
    """Return a record as the characters service writes it."""
    record = CharacterRecord(
        character_id=character_id,
        tenant="acme",
        user_id="ann",
        character=character,
        created_at=AT,
        updated_at=AT,
    )
    return {"_id": character_key("acme", character_id)} | record.model_dump()


RECORD = a_record(CHARACTER, STORED_MIA)


def characters(*documents: dict[str, object]) -> MongoCharacters:
    return MongoCharacters(cast(Collection, FakeCollection(*documents)))


async def test_characters_are_found_with_their_word_and_their_lora() -> None:
    wanted = {("acme", CHARACTER), ("acme", OTHER)}
    found = await characters(RECORD, a_record(OTHER, MIA_WITH_LORA)).find(wanted)
    assert found == {
        ("acme", CHARACTER): StoredCharacter(STORED_MIA),
        ("acme", OTHER): StoredCharacter(MIA_WITH_LORA),
    }


async def test_characters_are_found_with_the_choices_of_their_face() -> None:
    faces = [{"base_image_id": f"{OTHER}/{index}", "chain_id": f"chain-{index}"} for index in range(2)]
    found = await characters(RECORD | {"faces": faces}).find({("acme", CHARACTER)})
    assert found["acme", CHARACTER].choices == {"chain-0", "chain-1"}


async def test_another_tenants_character_does_not_exist() -> None:
    assert await characters(RECORD).find({("other", CHARACTER)}) == {}

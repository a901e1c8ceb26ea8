"""The `characters` collection, read only: its one writer is the characters service."""

from collections.abc import Iterable

from contracts.characters import Character, character_key
from services.prompt_builder.handlers import Characters, StoredCharacter
from shared.mongo import Collection, find_by_id


class MongoCharacters(Characters):
    """Reads characters by tenant and id."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def find(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], StoredCharacter]:
        """See `Characters`."""
        asked = set(wanted)
        documents = await find_by_id(self._collection, {character_key(*whose) for whose in asked})
        return {
            (document["tenant"], document["character_id"]): StoredCharacter(
                Character.model_validate(document["character"]),
                frozenset(face["chain_id"] for face in document.get("faces", ())),
            )
            for document in documents
        }

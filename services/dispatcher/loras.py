"""The `characters` collection, read only: how far the LoRAs are that jobs wait for."""

from collections.abc import Iterable

import structlog
from pydantic import ValidationError

from contracts.characters import Character
from services.dispatcher.handlers import Loras
from services.dispatcher.waiting import KnownLora
from shared.envelope import explain
from shared.mongo import Collection, Document, find_by_id

log = structlog.get_logger()

FIELDS = ("tenant", "character", "lora_state", "lora_error")


class MongoLoras(Loras):
    """By the characters service's records; one that cannot be read is not known, and is looked at again."""

    def __init__(self, characters: Collection) -> None:
        self._characters = characters

    async def of(self, character_ids: Iterable[str]) -> dict[str, KnownLora]:
        """See `Loras`."""
        documents = await find_by_id(self._characters, character_ids, dict.fromkeys(FIELDS, 1))
        return {document["_id"]: known for document in documents if (known := _known(document))}


def _known(document: Document) -> KnownLora | None:
    try:
        stored = document.get("character")
        character = Character.model_validate(stored) if stored else None
    except ValidationError as error:
        log.warning("character_unreadable", character_id=document["_id"], error=explain(error))
        return None
    failed = document.get("lora_state") == "failed"
    return KnownLora(
        tenant=document.get("tenant", ""),
        lora=character.lora if character else None,
        failure=str(document.get("lora_error") or "no reason is known") if failed else None,
    )

"""The `characters` collection, read only: the characters that jobs wait for, and their LoRAs."""

from collections.abc import Iterable

import structlog
from pydantic import ValidationError

from contracts.characters import Lora, character_key
from services.dispatcher.handlers import Loras
from services.dispatcher.waiting import CharacterRef, KnownLora
from shared.kafka.decoding import explain
from shared.mongo import Collection, Document, find_by_id

log = structlog.get_logger()

FIELDS = (
    "tenant",
    "character_id",
    "character.lora",
    "faces.chain_id",
    "lora_state",
    "lora_error",
    "lora_failed_at",
)


class MongoLoras(Loras):
    """As the characters service wrote them. One that cannot be read is not known: it is looked at again."""

    def __init__(self, characters: Collection) -> None:
        self._characters = characters

    async def of(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, KnownLora]:
        """See `Loras`."""
        keys = (character_key(tenant, character_id) for tenant, character_id in wanted)
        documents = await find_by_id(self._characters, keys, dict.fromkeys(FIELDS, 1))
        return {
            (document["tenant"], document["character_id"]): known
            for document in documents
            if (known := _known(document))
        }


def _known(record: Document) -> KnownLora | None:
    stored = (record.get("character") or {}).get("lora")
    try:
        lora = Lora.model_validate(stored) if stored else None
    except ValidationError as error:
        log.warning("lora_unreadable", character_id=record.get("character_id"), error=explain(error))
        return None
    failed = record.get("lora_state") == "failed"
    return KnownLora(
        lora=lora,
        failure=(record.get("lora_error") or "it gave no reason") if failed else None,
        failed_at=record.get("lora_failed_at") if failed else None,
        choices=frozenset(face["chain_id"] for face in record.get("faces", ())),
    )

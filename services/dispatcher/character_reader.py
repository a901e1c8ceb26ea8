"""Read the states of characters, and of the LoRAs that jobs wait for."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import structlog
from pydantic import ValidationError

from contracts.characters import Lora, character_key
from services.dispatcher.handlers import CharacterReader
from services.dispatcher.lora_waits import CharacterRef, CharacterState
from shared.kafka.decoding import explain
from shared.mongo import Collection, Document, find_by_id

log = structlog.get_logger()

FIELDS = (
    "tenant",
    "character_id",
    "character.lora",
    "faces.chain_id",
    "faces.base_image_id",
    "lora_state",
    "lora_error",
    "lora_failed_at",
)
SELECTION_FIELDS = ("tenant", "character_id", "wake_at")
CHAIN_FIELDS = ("tenant", "character_id", "chain_id", "steps.type", "steps.state")


class MongoCharacterReader(CharacterReader):
    """Reads what the characters service stores. A character that cannot be read counts as unknown."""

    def __init__(self, characters: Collection, chains: Collection, selections: Collection) -> None:
        self._characters = characters
        self._chains = chains
        self._selections = selections

    async def states(self, wanted: Iterable[CharacterRef]) -> dict[CharacterRef, CharacterState]:
        """See `CharacterReader`."""
        wanted = set(wanted)
        records = await find_by_id(self._characters, _keys(wanted), dict.fromkeys(FIELDS, 1))
        chains = await self._running_chains([_ref(record) for record in records if _has_failed(record)])
        stored = {_ref(record): _known(record, chains[_ref(record)]) for record in records}
        pending = await self._pending(wanted - stored.keys())
        return {ref: known for ref, known in stored.items() if known} | pending

    async def _pending(self, characters: set[CharacterRef]) -> dict[CharacterRef, CharacterState]:
        """Return the characters that are not stored because their base image is not ready."""
        found = await find_by_id(self._selections, _keys(characters), dict.fromkeys(SELECTION_FIELDS, 1))
        return {_ref(each): CharacterState(is_stored=False) for each in found if each.get("wake_at")}

    async def _running_chains(self, characters: Sequence[CharacterRef]) -> dict[CharacterRef, list[Document]]:
        """Return the running chains of these characters; no query for no characters."""
        running: dict[CharacterRef, list[Document]] = defaultdict(list)
        if characters:
            ids = sorted({character_id for _, character_id in characters})
            query = {"character_id": {"$in": ids}, "state": "running"}
            async for chain in self._chains.find(query, dict.fromkeys(CHAIN_FIELDS, 1)):
                running[_ref(chain)].append(chain)
        return running


def _keys(characters: Iterable[CharacterRef]) -> list[str]:
    return [character_key(tenant, character_id) for tenant, character_id in characters]


def _ref(document: Document) -> CharacterRef:
    return document["tenant"], document["character_id"]


def _has_failed(record: Document) -> bool:
    return bool(record.get("lora_state") == "failed")


def _known(record: Document, running_chains: Sequence[Document]) -> CharacterState | None:
    stored = (record.get("character") or {}).get("lora")
    try:
        lora = Lora.model_validate(stored) if stored else None
    except ValidationError as error:
        log.warning("lora_unreadable", character_id=record.get("character_id"), error=explain(error))
        return None
    failed = _has_failed(record) and not any(_will_train(chain, record) for chain in running_chains)
    return CharacterState(
        lora=lora,
        failure=(record.get("lora_error") or "it gave no reason") if failed else None,
        failed_at=record.get("lora_failed_at") if failed else None,
        choices=frozenset(face["chain_id"] for face in record.get("faces", ())),
    )


def _will_train(chain: Document, record: Document) -> bool:
    """Return whether a running chain still has a training ahead, and not one on an earlier face."""
    faces = record.get("faces", ())
    images = {face["chain_id"]: face["base_image_id"] for face in faces}
    present = faces[-1]["base_image_id"] if faces else None
    if images.get(chain["chain_id"], present) != present:
        return False
    ahead = ("waiting", "running")
    return any(step["type"] == "lora_training" and step["state"] in ahead for step in chain["steps"])

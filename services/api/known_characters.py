"""Characters that requests may name: stored ones, and accepted ones that will be stored."""

from dataclasses import dataclass

from contracts.characters import Character, CharacterRecord
from services.api.domain import Accepted
from services.api.ports import ChainStore, Submissions


@dataclass(frozen=True, slots=True)
class KnownCharacter:
    """A character, stored or accepted to be stored."""

    character: Character
    record: CharacterRecord | None = None
    accepted: Accepted | None = None
    """The submission that the record does not show yet: a creation, or the choice of a face."""

    @property
    def is_stored(self) -> bool:
        """Return whether the characters service has stored it as it is here."""
        return self.accepted is None


class KnownCharacters:
    """Finds a tenant's characters."""

    def __init__(self, chains: ChainStore, submissions: Submissions) -> None:
        self._chains = chains
        self._submissions = submissions

    async def find(self, tenant: str, character_id: str) -> KnownCharacter | None:
        """Return the character, or None when it was neither stored nor accepted.

        Submissions are read first: one that is stored in between is found in the record.
        """
        accepted = await self._submissions.storing(tenant, character_id)
        record = await self._chains.character(tenant, character_id)
        return known_character(record, accepted)


def known_character(record: CharacterRecord | None, accepted: Accepted | None) -> KnownCharacter | None:
    """Return the newer of a character's record and the newest submission that stores it."""
    described = accepted.character if accepted else None
    if record is None:
        return KnownCharacter(described, accepted=accepted) if described else None
    if accepted is None or described is None or not is_ahead(accepted, record):
        return KnownCharacter(record.character, record)
    if described.base_image_id == record.character.base_image_id:
        described = described.model_copy(update={"lora": described.lora or record.character.lora})
    return KnownCharacter(described, record, accepted)


def is_ahead(accepted: Accepted, record: CharacterRecord) -> bool:
    """Return whether a choice of a face is not in the record yet. A creation changes no record."""
    if accepted.chain_id is None or any(face.chain_id == accepted.chain_id for face in record.faces):
        return False
    return record.selected_at is None or accepted.requested_at > record.selected_at

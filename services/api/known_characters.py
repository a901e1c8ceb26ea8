"""Characters that requests may name: those that are stored, and those that were accepted and will be."""

from dataclasses import dataclass

from contracts.characters import Character, CharacterRecord
from services.api.domain import Accepted
from services.api.ports import Stories, Submissions


@dataclass(frozen=True, slots=True)
class KnownCharacter:
    """A character with what it is known from: its record, or the submission that stores it."""

    source: CharacterRecord | Accepted
    character: Character

    @property
    def is_stored(self) -> bool:
        """Whether the characters service has stored it."""
        return isinstance(self.source, CharacterRecord)


class KnownCharacters:
    """Finds a tenant's characters."""

    def __init__(self, stories: Stories, submissions: Submissions) -> None:
        self._stories = stories
        self._submissions = submissions

    async def find(self, tenant: str, character_id: str) -> KnownCharacter | None:
        """Return the character, or None when it was neither stored nor accepted."""
        record = await self._stories.character(tenant, character_id)
        if record is not None:
            return KnownCharacter(record, record.character)
        accepted = await self._submissions.storing(tenant, character_id)
        if accepted is not None and accepted.character is not None:
            return KnownCharacter(accepted, accepted.character)
        return None

"""A character's record, told message by message."""

from contracts.base import Message
from contracts.characters import Lora
from services.characters.job_images import ImagesByJob
from services.characters.policies import Policies
from services.characters.records import CharacterMessage, Record, advance
from tests.fakes.builders import START
from tests.fakes.characters import FACES, LATE, POLICIES, faces


class Memory:
    """Applies messages to a record and keeps what they made it say."""

    def __init__(self, *messages: CharacterMessage, drawn: ImagesByJob | None = None) -> None:
        self.stored: Record | None = None
        self.said: list[Message] = []
        self.drawn = {FACES: faces()} if drawn is None else drawn
        self.policies: Policies = POLICIES
        self.hear(*messages)

    @property
    def record(self) -> Record:
        assert self.stored is not None
        return self.stored

    @property
    def lora(self) -> Lora | None:
        return self.record.character.lora

    def hear(self, *messages: CharacterMessage) -> "Memory":
        self.said = []
        for message in messages:
            self.stored, said = advance(
                self.stored, message, at=START + LATE, jobs=self.drawn, policies=self.policies
            )
            self.said += said
        return self

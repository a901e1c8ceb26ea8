"""A character's record that receives messages one by one."""

from contracts.base import Message
from contracts.characters import Lora
from services.characters.job_images import ImagesByJob
from services.characters.policies import Policies
from services.characters.records import CharacterMessage, Record, advance
from tests.fakes.builders import START
from tests.fakes.characters import FACES, LATE, POLICIES, faces


class RecordHarness:
    """Applies messages to a record and keeps the outputs."""

    def __init__(self, *messages: CharacterMessage, drawn: ImagesByJob | None = None) -> None:
        self.stored: Record | None = None
        self.outputs: list[Message] = []
        self.drawn = {FACES: faces()} if drawn is None else drawn
        self.policies: Policies = POLICIES
        self.receive(*messages)

    @property
    def record(self) -> Record:
        assert self.stored is not None
        return self.stored

    @property
    def lora(self) -> Lora | None:
        return self.record.character.lora

    def receive(self, *messages: CharacterMessage) -> "RecordHarness":
        self.outputs = []
        for message in messages:
            self.stored, outputs = advance(
                self.stored, message, at=START + LATE, jobs=self.drawn, policies=self.policies
            )
            self.outputs += outputs
        return self

"""Which face a character has, since when, and which trainings are of it. Pure."""

from datetime import datetime
from itertools import takewhile

from contracts.base import AssetId
from contracts.characters import CharacterRecord, ChosenFace, Training

KEPT = 20
"""So many choices of a character are remembered."""


def with_face(record: CharacterRecord, image: AssetId, chain_id: str, at: datetime) -> CharacterRecord:
    """The record with one more choice; one that is known already leaves it the same object."""
    if any(face.chain_id == chain_id for face in record.faces):
        return record
    chosen = ChosenFace(base_image_id=image, chain_id=chain_id, at=at)
    faces = sorted((*record.faces, chosen), key=lambda face: _rank(record, face))
    return record.model_copy(update={"faces": tuple(faces[-KEPT:])})


def _rank(record: CharacterRecord, face: ChosenFace) -> tuple[bool, datetime, str]:
    """The newest is last. A choice counts more than a request that described the character."""
    return face.chain_id != record.character_id, face.at, face.chain_id


def trainings_of_the_face(record: CharacterRecord) -> tuple[Training, ...]:
    """Those of a chain that began with this face, and those outside such chains since it was chosen."""
    if not record.faces:
        return record.trainings
    image = record.faces[-1].base_image_id
    chains = {face.chain_id: face.base_image_id == image for face in record.faces}
    *_, since = takewhile(lambda face: chains[face.chain_id], reversed(record.faces))
    return tuple(
        training
        for training in record.trainings
        if chains.get(training.chain_id or "", training.requested_at >= since.at)
    )

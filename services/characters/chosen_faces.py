"""The selected faces of a character, and the trainings that count for the present one. Pure."""

from datetime import datetime
from itertools import takewhile

from contracts.base import AssetId
from contracts.characters import ChosenFace, Training
from services.characters.changes import R, with_record

MAX_FACES = 20
"""Number of selections that a record keeps."""


def with_face(record: R, image: AssetId, chain_id: str, at: datetime) -> R:
    """Return the record with one more selection; a known one leaves it the same object."""
    if any(face.chain_id == chain_id for face in record.faces):
        return record
    chosen = ChosenFace(base_image_id=image, chain_id=chain_id, at=at)
    faces = sorted((*record.faces, chosen), key=lambda face: _rank(record, face))
    return with_record(record, faces=tuple(faces[-MAX_FACES:]))


def _rank(record: R, face: ChosenFace) -> tuple[bool, datetime, str]:
    """Sort the newest last. A selection counts more than a request that described the character."""
    return face.chain_id != record.character_id, face.at, face.chain_id


def trainings_of_the_face(record: R) -> tuple[Training, ...]:
    """Return the trainings of chains with the present face, and others since it was chosen."""
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

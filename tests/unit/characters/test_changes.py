"""The typed copies name fields that their models have: a renamed field is noticed here."""

from typing import Any

import pytest

from contracts.base import Model
from contracts.chains import Chain, ChainStep, ChainTry
from contracts.characters import Character, CharacterRecord, Training
from services.characters import changes
from services.characters.records import OwnChanges, Record


@pytest.mark.parametrize(
    ("changed", "model"),
    [
        (changes.TryChanges, ChainTry),
        (changes.StepChanges, ChainStep),
        (changes.ChainChanges, Chain),
        (changes.CharacterChanges, Character),
        (changes.TrainingChanges, Training),
        (changes.RecordChanges, CharacterRecord),
        (changes.LoraStatus, CharacterRecord),
        (OwnChanges, Record),
    ],
)
def test_every_change_names_a_field_of_its_model(changed: Any, model: type[Model]) -> None:
    assert changed.__annotations__.keys() <= model.model_fields.keys()

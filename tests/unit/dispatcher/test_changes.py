"""The typed copies name fields that their models have: a renamed field is noticed here."""

from typing import Any

import pytest

from contracts.base import Model
from contracts.generation import RenderSpec
from contracts.jobs import Attempt, JobEvent, Render
from services.dispatcher.changes import AttemptChanges, RenderChanges, SpecChanges
from services.dispatcher.events import EventFacts
from services.dispatcher.job_record import JobChanges, JobRecord


@pytest.mark.parametrize(
    ("changes", "model"),
    [
        (JobChanges, JobRecord),
        (RenderChanges, Render),
        (AttemptChanges, Attempt),
        (SpecChanges, RenderSpec),
        (EventFacts, JobEvent),
    ],
)
def test_every_change_names_a_field_of_its_model(changes: Any, model: type[Model]) -> None:
    assert changes.__annotations__.keys() <= model.model_fields.keys()

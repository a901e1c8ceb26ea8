"""A request that cannot be planned is rejected: its caller does not wait for ever."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from contracts.generation import GenerationPlanned, GenerationRejected
from prompts.planner import request_hash
from services.prompt_builder.handlers import give_up, requested_at_of
from shared.errors import PermanentError, TransientError
from tests.fakes.builders import CHAIN, received
from tests.unit.prompt_builder.builder import ZERO, Builder
from tests.unit.prompts.examples import requested


class NoPrompts(PermanentError):
    """A reason for people."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


def test_a_rejection_names_the_request_and_the_kind_of_trouble() -> None:
    asked = requested().model_copy(update={"chain_id": CHAIN})
    rejection = give_up(received(asked), KeyError("/srv/secret"))
    assert isinstance(rejection, GenerationRejected)
    assert (rejection.job_id, rejection.tenant, rejection.user_id) == (asked.job_id, "acme", "u1")
    assert (rejection.type, rejection.request_hash, rejection.chain_id) == (
        "studio",
        request_hash(asked),
        CHAIN,
    )
    assert rejection.requested_at == requested_at_of(received(asked))
    (reason,) = rejection.reasons
    assert (reason.field, reason.message) == ("request", "could not be planned: KeyError")


def test_a_reason_for_people_is_told_and_cut() -> None:
    rejection = give_up(received(requested()), NoPrompts("no prompts " * 100))
    assert isinstance(rejection, GenerationRejected)
    assert rejection.reasons[0].message.startswith("could not be planned: no prompts no prompts")
    assert len(rejection.reasons[0].message) == 500


async def test_a_request_that_breaks_the_builder_is_rejected_and_not_set_aside() -> None:
    builder = Builder()
    builder.trouble = lambda: KeyError("a bug")
    assert await builder.hear(requested()) == [GenerationRejected.topic]
    assert builder.consumer.committed == {ZERO: 8}


async def test_a_database_that_is_away_rejects_nothing() -> None:
    builder = Builder()
    builder.trouble = lambda: TransientError("away")
    assert await builder.hear(requested()) == []
    builder.trouble = None
    assert await builder.hear(requested()) == [GenerationPlanned.topic]

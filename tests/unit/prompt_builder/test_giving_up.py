"""A request that cannot be planned is rejected, so that its job ends."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from contracts.generation import GenerationPlanned, GenerationRejected
from prompts.planner import request_hash
from services.prompt_builder.handlers import give_up, requested_at_of
from shared.errors import PermanentError, TransientError
from tests.fakes.builders import CHAIN, received
from tests.unit.prompt_builder.harness import ZERO, PromptBuilderHarness
from tests.unit.prompts.examples import requested


class NoPrompts(PermanentError):
    """An error with a readable reason."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


def test_a_rejection_names_the_request_and_the_kind_of_error() -> None:
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


def test_a_readable_reason_is_reported_and_shortened() -> None:
    rejection = give_up(received(requested()), NoPrompts("no prompts " * 100))
    assert isinstance(rejection, GenerationRejected)
    assert rejection.reasons[0].message.startswith("could not be planned: no prompts no prompts")
    assert len(rejection.reasons[0].message) == 500


async def test_a_request_that_breaks_the_builder_is_rejected_and_no_dead_letter() -> None:
    harness = PromptBuilderHarness()
    harness.trouble = lambda: KeyError("a bug")
    assert await harness.receive(requested()) == [GenerationRejected.topic]
    assert harness.consumer.committed == {ZERO: 8}


async def test_a_database_that_is_away_rejects_nothing() -> None:
    harness = PromptBuilderHarness()
    harness.trouble = lambda: TransientError("away")
    assert await harness.receive(requested()) == []
    harness.trouble = None
    assert await harness.receive(requested()) == [GenerationPlanned.topic]

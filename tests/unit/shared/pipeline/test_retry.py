"""A transient failure is retried a few times; everything else is raised at once."""

import pytest

from shared.errors import Backpressure, PermanentError, TransientError
from shared.kafka.pipeline.retry import TRIES, BoundedRetry
from tests.unit.shared.pipeline.batches import Next, batch_of, good, make

BATCH = batch_of(good("a", 7))


async def test_a_batch_is_handled_after_some_transient_failures() -> None:
    proceed = Next(TransientError("busy"), TimeoutError("slow"))
    await make(BoundedRetry, first_pause=0.001).handle(proceed, BATCH)
    assert (len(proceed.batches), proceed.passed) == (3, [["a"]])


async def test_retries_are_bounded_and_the_last_error_is_raised() -> None:
    proceed = Next(*(TransientError(str(number)) for number in range(9)))
    with pytest.raises(TransientError, match=str(TRIES - 1)):
        await make(BoundedRetry, first_pause=0.001).handle(proceed, BATCH)
    assert len(proceed.batches) == TRIES


@pytest.mark.parametrize("error", [PermanentError("never"), Backpressure("full"), KeyError("a bug")])
async def test_other_errors_are_raised_at_once(error: Exception) -> None:
    proceed = Next(error)
    with pytest.raises(type(error)):
        await make(BoundedRetry, first_pause=60.0).handle(proceed, BATCH)
    assert len(proceed.batches) == 1


async def test_a_batch_without_retry_is_tried_once() -> None:
    proceed = Next(TransientError("busy"))
    with pytest.raises(TransientError):
        await make(BoundedRetry, first_pause=60.0).handle(proceed, BATCH.without_retry())
    assert len(proceed.batches) == 1

"""A partition that cannot be handled now is paused and read again; the others go on."""

from shared.errors import Backpressure, TransientError
from shared.kafka.partitions import PausedPartitions
from shared.kafka.pipeline.batch import Batch
from shared.kafka.pipeline.in_hand import BatchInHand
from shared.kafka.pipeline.pausing import Pauser, Pausing
from tests.fakes.kafka import FakeConsumer
from tests.fakes.waiting import until
from tests.unit.shared.pipeline.batches import ONE, ZERO, Next, batch_of, good, make


class Flow:
    """The middleware with its state."""

    def __init__(self, seconds: float = 60.0) -> None:
        self.consumer = FakeConsumer([], {ZERO, ONE})
        self.paused = PausedPartitions("test")
        self.in_hand = BatchInHand(self.paused, revoke_seconds=0.001)
        self._pauser = Pauser(self.in_hand, self.paused, seconds, seconds)

    def batch(self) -> Batch:
        return batch_of(good("a", 7), good("x", 3, partition=1), good("b", 8), consumer=self.consumer)

    async def handle(self, proceed: Next) -> None:
        await make(Pausing, pauser=self._pauser).handle(proceed, self.batch())


async def test_a_failing_partition_is_paused_at_its_first_record_and_the_other_is_handled() -> None:
    flow, proceed = Flow(), Next(poison={"b": TransientError("away")})
    await flow.handle(proceed)
    assert proceed.passed == [["x"]]
    assert (flow.consumer.sought, flow.consumer.paused, flow.paused.paused) == ({ZERO: 7}, {ZERO}, {ZERO})
    assert [batch.retry for batch in proceed.batches] == [True, False, False]


async def test_records_that_are_done_are_not_handled_again() -> None:
    flow = Flow()
    seen: list[list[str]] = []

    class Interrupted(Next):
        async def __call__(self, batch: Batch) -> list[object]:  # type: ignore[override]
            seen.append([each.message.reason for each in batch.messages])
            if len(seen) == 1:
                flow.in_hand.finish({ZERO: 8, ONE: 4})
            raise TransientError("away")

    await flow.handle(Interrupted())
    assert seen == [["a", "x", "b"], ["b"]]
    assert flow.consumer.sought == {ZERO: 8}


async def test_backpressure_pauses_without_counting_as_a_failure() -> None:
    flow = Flow(seconds=0.005)
    await flow.handle(Next(poison={"b": Backpressure("full")}))
    assert (flow.consumer.paused, flow.paused.paused) == ({ZERO}, set())
    await until(lambda: not flow.consumer.paused)


async def test_an_unexpected_error_pauses_too_instead_of_being_raised() -> None:
    flow = Flow()
    await flow.handle(Next(poison={"b": KeyError("a bug")}))
    assert flow.consumer.sought == {ZERO: 7}


async def test_a_partition_that_was_lost_is_not_paused() -> None:
    flow = Flow()

    class Losing(Next):
        async def __call__(self, batch: Batch) -> list[object]:  # type: ignore[override]
            flow.in_hand.lost |= {ZERO, ONE}
            raise TransientError("away")

    await flow.handle(Losing())
    assert flow.consumer.sought == {}


async def test_a_paused_partition_is_no_longer_paused_once_it_is_handled() -> None:
    flow = Flow()
    flow.paused.paused.add(ZERO)
    await flow.handle(Next())
    assert flow.paused.paused == set()

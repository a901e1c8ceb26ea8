"""A handler is tied to the message types that it is declared for.

mypy refuses the mismatches: without an error there, its `type: ignore` is unused, which is an error too.
"""

from collections.abc import Sequence

from contracts.generation import GenerationCancel
from contracts.jobs import JobDue, JobEvent
from shared.envelope import Outgoing, Received, of_type
from shared.kafka.subscribe import message_types
from tests.fakes.builders import START, a_cancel, due, received
from tests.fakes.subscriptions import Handlers


async def test_a_handler_takes_the_types_that_it_is_declared_for() -> None:
    handlers = Handlers()

    @handlers.subscribe(GenerationCancel | JobDue, group="both")
    async def handle(batch: Sequence[Received[GenerationCancel | JobDue]]) -> list[Outgoing]:
        return [Outgoing(each.message) for each in batch]

    batch = [received(a_cancel()), received(due(START))]
    assert [each.message for each in await handlers.call("both", batch)] == [a_cancel(), due(START)]
    assert handlers.topics == {"both": [GenerationCancel.topic, JobDue.topic]}


def test_a_handler_of_fewer_or_other_types_is_a_type_error() -> None:
    handlers = Handlers()

    @handlers.subscribe(GenerationCancel | JobDue, group="fewer")  # type: ignore[arg-type]
    async def handle_some(batch: Sequence[Received[GenerationCancel]]) -> list[Outgoing]:
        return []

    @handlers.subscribe(GenerationCancel, group="other")  # type: ignore[arg-type]
    async def handle_others(batch: Sequence[Received[JobEvent]]) -> list[Outgoing]:
        return []

    assert set(handlers.topics) == {"fewer", "other"}


def test_the_types_of_a_union_and_of_a_single_type_are_listed() -> None:
    assert message_types(GenerationCancel | JobDue) == (GenerationCancel, JobDue)
    assert message_types(JobDue) == (JobDue,)


def test_messages_of_one_type_are_picked_from_a_batch() -> None:
    batch = [received(a_cancel()), received(due(START))]
    assert [each.message for each in of_type(batch, JobDue)] == [due(START)]
    moved = of_type(batch, JobDue)[0].with_message(a_cancel())
    assert (moved.message, moved.id) == (a_cancel(), batch[1].id)

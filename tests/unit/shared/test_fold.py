"""A fold applies each message once; every redelivery has the same outputs, byte for byte."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from contracts.base import Message
from contracts.generation import GenerationCancel
from contracts.jobs import JobDue
from shared.envelope import Envelope, Outgoing, Received
from shared.errors import PermanentError
from shared.fold import MAX_RACES, Folded, fold
from shared.transient import is_transient
from tests.fakes.builders import JOB, START, TRACE, a_cancel, due, received
from tests.fakes.documents import FakeDocuments

OTHER = "0195940a-5b40-7d3e-b0c4-8a6b2d7e9f02"
SNAPSHOT = "snapshot"
IGNORED = "ignored"
BROKEN = "broken"


class Diary(Folded):
    """A document with the words of all its messages."""

    heard: tuple[str, ...] = ()


def listen(diary: Diary | None, given: Received[GenerationCancel]) -> tuple[Diary, Sequence[Message]]:
    """Each word is written down and answered; some are special."""
    before, word = diary or Diary(), given.message.reason
    if word == IGNORED:
        return before, ()
    if word == BROKEN:
        raise PermanentError("cannot hear this")
    after = before.model_copy(update={"heard": (*before.heard, word)})
    answer = due(START + timedelta(seconds=len(after.heard)), job_id=given.message.job_id)
    return after, [answer.model_copy(update={"due_at": START}) if word == SNAPSHOT else answer]


def is_snapshot(message: Message) -> bool:
    return isinstance(message, JobDue) and message.due_at == START


def word(text: str, offset: int, *, job_id: str = JOB, **fields: Any) -> Received[GenerationCancel]:
    return received(a_cancel(reason=text, job_id=job_id), offset=offset, id=f"{text}/{offset}", **fields)


def batch_of(*texts: str, start: int = 0, **fields: Any) -> list[Received[GenerationCancel]]:
    return [word(text, start + place, batch_start=start, **fields) for place, text in enumerate(texts)]


class Bench:
    def __init__(self) -> None:
        self.documents = FakeDocuments(Diary)

    async def fold(self, *batch: Received[GenerationCancel]) -> list[Outgoing]:
        return await fold(batch, self.documents, listen, source="test", snapshot=is_snapshot)

    def diary(self, key: str = JOB) -> Diary:
        diary = self.documents.get(key)
        assert diary is not None
        return diary


def bytes_of(outputs: Sequence[Outgoing]) -> list[tuple[Any, ...]]:
    envelopes = [each.message for each in outputs if isinstance(each.message, Envelope)]
    assert len(envelopes) == len(outputs)
    return [(each.topic, each.key, each.headers, each.body) for each in envelopes]


async def test_a_message_changes_its_document_and_has_an_output() -> None:
    bench = Bench()
    (output,) = await bench.fold(word("one", 7, partition=3))
    assert isinstance(output.message, Envelope)
    assert JobDue.model_validate_json(output.message.body).due_at == START + timedelta(seconds=1)
    assert dict(output.message.headers)["traceparent"] == TRACE.encode()
    assert output.cause == ("generation.cancel.v1", 3)
    assert (bench.diary().heard, bench.diary().version) == (("one",), 1)


async def test_a_redelivery_changes_nothing_and_has_the_same_bytes() -> None:
    bench, message = Bench(), word("one", 7)
    first = await bench.fold(message)
    diary = bench.diary()
    assert bytes_of(await bench.fold(message)) == bytes_of(first)
    assert bench.diary() == diary


async def test_a_redelivery_has_the_same_bytes_after_the_document_has_changed() -> None:
    bench, message = Bench(), word("one", 7)
    first = await bench.fold(message)
    await bench.fold(word("from elsewhere", 99, partition=1))
    await bench.fold(word("next", 8, batch_start=7))
    assert bytes_of(await bench.fold(message)) == bytes_of(first)
    assert bench.diary().heard == ("one", "from elsewhere", "next")


async def test_a_redelivered_batch_has_the_same_outputs_in_the_same_order() -> None:
    bench, batch = Bench(), batch_of("one", "two", "three")
    first = await bench.fold(*batch)
    assert bytes_of(await bench.fold(*batch)) == bytes_of(first)
    assert bench.diary().version == 1


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        ({"offset": 8, "batch_start": 7}, True),
        ({"offset": 8, "batch_start": 8}, False),
        ({"offset": 99, "partition": 1}, True),
        ({"offset": 8, "topic": "another.topic"}, True),
    ],
)
async def test_outputs_are_kept_until_a_later_batch_of_their_own_partition(
    later: dict[str, Any], kept: bool
) -> None:
    bench = Bench()
    await bench.fold(word("one", 7))
    await bench.fold(word("two", **later))
    assert ("one/7" in [cause.id for cause in bench.diary().handled]) is kept


async def test_a_batch_does_not_trim_its_own_causes() -> None:
    bench = Bench()
    await bench.fold(*batch_of("one", "two", "three"))
    assert [cause.offset for cause in bench.diary().handled] == [0, 1, 2]


async def test_two_messages_of_one_key_are_folded_in_order_and_written_once() -> None:
    bench = Bench()
    outputs = await bench.fold(*batch_of("one", "two"))
    assert bench.diary().heard == ("one", "two")
    assert bench.diary().version == 1
    assert (len(outputs), bench.documents.loads, bench.documents.saves) == (2, 1, 1)


async def test_messages_of_many_keys_cost_one_load_and_one_save() -> None:
    bench = Bench()
    await bench.fold(word("one", 0), word("two", 1, job_id=OTHER, batch_start=0))
    assert (bench.diary(JOB).heard, bench.diary(OTHER).heard) == (("one",), ("two",))
    assert (bench.documents.loads, bench.documents.saves) == (1, 1)


async def test_messages_with_other_keys_may_be_about_one_document() -> None:
    documents = FakeDocuments(Diary)
    batch = [word("one", 0), word("two", 1, job_id=OTHER, batch_start=0)]
    documents.rival({"both": Diary(version=1, heard=("the winner",))})
    await fold(batch, documents, listen, source="test", key=lambda _: "both")
    diary = documents.get("both")
    assert diary is not None
    assert (diary.heard, diary.version) == (("the winner", "one", "two"), 2)


async def test_a_lost_race_is_folded_again_on_what_the_winner_wrote() -> None:
    bench = Bench()
    bench.documents.rival({JOB: Diary(version=1, heard=("the winner",))})
    (output,) = await bench.fold(word("one", 0))
    assert (bench.diary().heard, bench.diary().version) == (("the winner", "one"), 2)
    assert isinstance(output.message, Envelope)
    said = JobDue.model_validate_json(output.message.body)
    assert said.due_at == START + timedelta(seconds=2), "the first answer was never said"


async def test_only_the_document_that_lost_is_folded_again() -> None:
    bench = Bench()
    bench.documents.rival({JOB: Diary(version=1)})
    outputs = await bench.fold(word("one", 0), word("two", 1, job_id=OTHER, batch_start=0))
    assert (bench.diary(JOB).version, bench.diary(OTHER).version) == (2, 1)
    assert len(outputs) == 2


async def test_a_message_that_the_winner_handled_has_the_outputs_of_the_winner() -> None:
    winner, loser, message = Bench(), Bench(), word("one", 0)
    first = await winner.fold(message)
    loser.documents.rival({JOB: winner.diary()})
    assert bytes_of(await loser.fold(message)) == bytes_of(first)
    assert loser.diary() == winner.diary()


async def test_races_without_end_are_a_transient_failure() -> None:
    bench = Bench()
    for version in range(1, MAX_RACES + 1):
        bench.documents.rival({JOB: Diary(version=version)})
    with pytest.raises(TimeoutError) as failure:
        await bench.fold(word("one", 0))
    assert is_transient(failure.value)


async def test_only_the_newest_snapshot_of_a_document_is_published() -> None:
    bench = Bench()
    outputs = await bench.fold(*batch_of(SNAPSHOT, SNAPSHOT), *batch_of(SNAPSHOT, start=2, job_id=OTHER))
    assert [each.message.job_id for each in outputs if isinstance(each.message, JobDue)] == [JOB, OTHER]
    assert bench.diary().heard == (SNAPSHOT, SNAPSHOT)


async def test_a_snapshot_is_published_before_later_outputs() -> None:
    outputs = await Bench().fold(*batch_of(SNAPSHOT, "one", SNAPSHOT, "two"))
    kinds = ["lasting" if isinstance(each.message, Envelope) else SNAPSHOT for each in outputs]
    assert kinds == ["lasting", SNAPSHOT, "lasting"]


async def test_a_snapshot_is_not_published_again() -> None:
    bench, message = Bench(), word(SNAPSHOT, 0)
    assert len(await bench.fold(message)) == 1
    assert not await bench.fold(message)
    assert bench.diary().handled[0].outputs == ()


async def test_outputs_are_stored_and_published_again_by_default() -> None:
    documents, message = FakeDocuments(Diary), word(SNAPSHOT, 0)
    first, again = [await fold([message], documents, listen, source="test") for _ in range(2)]
    assert bytes_of(first) == bytes_of(again) != []


async def test_an_unchanged_document_is_not_written() -> None:
    bench = Bench()
    await bench.fold(word("one", 0))
    before = bench.diary()
    assert not await bench.fold(word(IGNORED, 1))
    assert bench.diary() == before


async def test_a_permanent_error_stops_the_batch_before_anything_is_written() -> None:
    bench = Bench()
    with pytest.raises(PermanentError, match="cannot hear this"):
        await bench.fold(*batch_of("one", BROKEN))
    assert bench.documents.get(JOB) is None
    assert bench.documents.saves == 0


async def test_an_empty_batch_has_no_outputs() -> None:
    assert not await Bench().fold()

"""Messages that cannot be handled are found and answered; the others of their batch are handled."""

import pytest

from shared.errors import PermanentError, TransientError
from shared.kafka.pipeline.answers import Answers
from shared.kafka.pipeline.dead_letters import DeadLetters
from shared.observability import metrics
from tests.unit.shared.pipeline.batches import TOPIC, Next, batch_of, good, invalid, make

ANSWERS = Answers("test")
ANSWER = f"answer ({TOPIC!r}, 0)"


def middleware() -> DeadLetters:
    return make(DeadLetters, answers=ANSWERS)


async def test_answers_to_invalid_records_are_published_with_the_batch() -> None:
    proceed = Next()
    await middleware().handle(proceed, batch_of(good("a", 7), invalid(8), good("b", 9)))
    assert proceed.passed == [["a", "b", ANSWER]]


async def test_a_message_that_cannot_be_handled_is_answered_and_the_order_is_kept() -> None:
    proceed = Next(poison={"b": PermanentError("never")})
    batch = batch_of(*(good(text, 7 + place) for place, text in enumerate("abcd")))
    await middleware().handle(proceed, batch)
    assert proceed.passed == [["a"], ["c", "d", ANSWER]]
    done = [entry.record.offset for part in proceed.batches[-1:] for entry in part.entries]
    assert done == [8, 9, 10], "the answer is committed with the messages behind it"


async def test_a_batch_of_nothing_but_poison_is_published_once() -> None:
    proceed = Next(poison=dict.fromkeys("abcd", PermanentError("never")))
    batch = batch_of(*(good(text, 7 + place) for place, text in enumerate("abcd")))
    await middleware().handle(proceed, batch)
    assert proceed.passed == [[ANSWER] * 4]


async def test_a_transient_error_is_raised_and_leaves_no_answer_to_the_next_attempt() -> None:
    under_test, poison = middleware(), {"bad": PermanentError("never"), "busy": TransientError("busy")}
    with pytest.raises(TransientError):
        await under_test.handle(Next(poison=poison), batch_of(good("bad", 7), good("busy", 8)))
    proceed = Next()
    await under_test.handle(proceed, batch_of(good("other", 3, partition=1)))
    assert proceed.passed == [["other"]]
    assert [entry.record.partition for entry in proceed.batches[0].entries] == [1]


async def test_a_dead_letter_is_counted_when_it_was_published() -> None:
    count = metrics.dead_letters.labels("test", "not_json")._value
    before = count.get()
    with pytest.raises(TransientError):
        await middleware().handle(Next(TransientError("away")), batch_of(invalid(7)))
    assert count.get() == before
    await middleware().handle(Next(), batch_of(invalid(7)))
    assert count.get() == before + 1

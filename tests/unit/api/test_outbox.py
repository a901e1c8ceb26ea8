"""An outbox says what documents owe, at once or later, and never stops at one of them."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from contracts.generation import GenerationCancel
from shared.clock import now
from shared.envelope import Envelope
from shared.ids import uuid7
from shared.outbox import Debt, Outbox, Owed, owe
from tests.fakes.api import BrokerAway, FakeBroker, FakeDebts

NO_AGE = timedelta(seconds=-1)


def a_debt(debts: FakeDebts, age: float = 0.0) -> Debt:
    job_id = uuid7()
    cancel = GenerationCancel(job_id=job_id, tenant="acme")
    owed = owe(cancel, source="test", trace=None, at=now() - timedelta(seconds=age))
    debts.owed[job_id] = Owed.model_validate(owed)
    return Debt(id=job_id, owed=debts.owed[job_id])


def keys(broker: FakeBroker) -> list[str]:
    return [envelope.key for envelope in broker.sent]


async def test_what_is_settled_is_said_and_not_owed_any_more() -> None:
    debts, broker = FakeDebts(), FakeBroker()
    one, two = a_debt(debts), a_debt(debts)
    await Outbox(debts, broker).settle([one.id, uuid7()])
    assert (keys(broker), list(debts.owed)) == ([one.id], [two.id])


async def test_what_cannot_be_said_stays_owed() -> None:
    debts, broker = FakeDebts(), FakeBroker()
    debt, broker.away = a_debt(debts), True
    with pytest.raises(BrokerAway):
        await Outbox(debts, broker).settle([debt.id])
    assert list(debts.owed) == [debt.id]


async def test_the_sweeper_leaves_young_debts_to_their_owners_and_takes_the_oldest_first() -> None:
    debts, broker = FakeDebts(), FakeBroker()
    young, old, oldest = a_debt(debts), a_debt(debts, age=13), a_debt(debts, age=19)
    assert await Outbox(debts, broker).sweep() == 2
    assert (keys(broker), list(debts.owed)) == ([oldest.id, old.id], [young.id])


async def test_a_message_said_twice_is_the_same_message() -> None:
    debts, broker = FakeDebts(), FakeBroker()
    debt = a_debt(debts)
    outbox = Outbox(debts, broker)
    await outbox.pay([debt])
    await outbox.pay([debt])
    first, again = broker.sent
    assert first == again


async def test_a_debt_made_while_another_is_paid_stays() -> None:
    debts, broker = FakeDebts(), FakeBroker()
    debt = a_debt(debts, age=5)
    newer = Owed(at=now(), messages=debt.owed.messages)
    debts.owed[debt.id] = newer
    await Outbox(debts, broker).pay([debt])
    assert debts.owed == {debt.id: newer}


async def test_a_debt_that_the_broker_never_takes_does_not_hold_up_the_others() -> None:
    debts = FakeDebts()
    poison, good = a_debt(debts, age=19), a_debt(debts, age=13)

    class Picky(FakeBroker):
        async def send(self, envelopes: Sequence[Envelope]) -> None:
            if any(envelope.key == poison.id for envelope in envelopes):
                raise MessageSizeTooLargeError
            await super().send(envelopes)

    broker = Picky()
    assert await Outbox(debts, broker).sweep() == 1
    assert (keys(broker), list(debts.owed)) == ([good.id], [poison.id])

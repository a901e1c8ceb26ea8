"""Commands become attempts once each, however often they are delivered."""

from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from contracts.renders import RenderCancel, RenderRequested, ResultStored, StoredImage
from services.gateways.runtime.handlers import handlers
from services.gateways.runtime.scheduling.breaker import Circuit
from services.gateways.runtime.scheduling.engine import Engine
from services.gateways.runtime.scheduling.submission_gate import SubmissionGate
from shared.clock import now
from shared.errors import Backpressure
from shared.mongo.leases import LeaseExpired
from tests.fakes.ledger import GatewayHarness
from tests.fakes.provider import FakeLookupProvider, FakeProvider, a_cancel, a_command
from tests.fakes.publisher import received
from tests.fakes.service import FakeService
from tests.fakes.steps import as_step
from tests.fakes.waiting import background, until


class IntakeHarness(FakeService):
    """A gateway's handler, as its subscription would call it."""

    def __init__(
        self, harness: GatewayHarness, most: int = 100, provider: FakeProvider | None = None
    ) -> None:
        super().__init__(harness.publisher)
        self.engine = Engine(as_step(harness.step), slots=8, max_in_memory=most)
        self.gate = SubmissionGate()
        handlers(
            self.subscribe,
            provider or harness.provider,
            harness.intake,
            self.engine,
            harness.lease,
            self.gate,
        )


async def test_a_command_is_accepted_once_however_often_it_is_delivered(harness: GatewayHarness) -> None:
    command, owner = a_command(), await harness.owner()
    batch = [received(command), received(command)]
    first = await harness.intake.accept(batch, owner)
    assert [attempt.id for attempt in first] == [command.attempt_id]
    await harness.finish(first[0])
    before = dict(harness.attempts.kept[command.attempt_id])
    assert await harness.intake.accept(batch, owner) == []
    assert await harness.intake.accept(batch, "another process") == []
    assert harness.attempts.kept[command.attempt_id] == before


async def test_two_attempts_of_a_render_are_two_entries(harness: GatewayHarness) -> None:
    first = a_command(1)
    second = a_command(2, job_id=first.job_id)
    taken = await harness.intake.accept([received(first), received(second)], await harness.owner())
    assert [attempt.id for attempt in taken] == [first.attempt_id, second.attempt_id]


async def test_a_command_whose_write_was_not_answered_is_not_forgotten(
    harness: GatewayHarness,
) -> None:
    intake, command = IntakeHarness(harness), a_command()
    owner = await harness.owner()
    await harness.intake.accept([received(command)], owner)  # its answer never came
    await intake.deliver(command)
    assert len(intake.engine) == 1


async def test_a_redelivered_command_does_not_disturb_the_attempt_in_memory(harness: GatewayHarness) -> None:
    intake, command = IntakeHarness(harness), a_command()
    await harness.owner()
    for _ in range(3):
        await intake.deliver(command)
    assert len(intake.engine) == 1


@pytest.mark.parametrize(
    ("provider", "slots", "circuit", "per_second", "state"),
    [
        (FakeLookupProvider(), 2, "closed", None, "submitting"),
        (FakeProvider(), 2, "closed", None, "accepted"),
        (FakeLookupProvider(), 1, "closed", None, "accepted"),
        (FakeLookupProvider(), 2, "open", None, "accepted"),
        (FakeLookupProvider(), 2, "half_open", None, "accepted"),
        (FakeLookupProvider(), 2, "closed", 5.0, "accepted"),
    ],
)
async def test_a_batch_that_is_sent_at_once_is_stored_with_its_intents_if_there_is_a_lookup(
    harness: GatewayHarness,
    provider: FakeProvider,
    slots: int,
    circuit: Circuit,
    per_second: float | None,
    state: str,
) -> None:
    intake, commands = IntakeHarness(harness, provider=provider), [a_command(), a_command()]
    intake.engine.resize(slots)
    intake.gate.breaker.state, intake.gate.rate.per_second = circuit, per_second
    await harness.owner()
    await intake.deliver(*commands)
    entries = [harness.attempts.kept[command.attempt_id] for command in commands]
    assert {entry["state"] for entry in entries} == {state}


async def test_an_intent_that_was_stored_without_an_answer_is_known_not_to_have_been_sent(
    harness: GatewayHarness,
) -> None:
    batch, owner = [received(a_command()), received(a_command())], await harness.owner()
    await harness.intake.accept(batch, owner, with_intent=True)  # its answer never came
    again = await harness.intake.accept(batch, owner, with_intent=True)
    stranded = await harness.takeover.stranded(owner, in_memory=())
    assert [each.state for each in (*again, *stranded)] == ["accepted"] * 4
    await harness.step(again[0])
    assert harness.provider.calls == ["prepare", "submit"], "nobody had to be asked"
    assert harness.entry(again[0])["submissions"] == 2, "its intent is written anew"


async def test_a_gateway_subscribes_to_its_own_provider_only(harness: GatewayHarness) -> None:
    topics = ["render.requested.fal.v1", "render.cancel.fal.v1", "result.stored.v1"]
    assert IntakeHarness(harness).topics == {"gateway-fal": topics}
    assert RenderRequested.topic.count("{provider}") == RenderCancel.topic.count("{provider}") == 1


async def test_nothing_is_accepted_without_a_valid_lease(harness: GatewayHarness) -> None:
    intake = IntakeHarness(harness)
    with pytest.raises(LeaseExpired):
        await intake.deliver(a_command())
    assert harness.attempts.kept == {}


async def test_a_command_and_its_cancel_in_one_batch_leave_nothing_to_send(harness: GatewayHarness) -> None:
    intake, command = IntakeHarness(harness), a_command()
    await harness.owner()
    assert await intake.deliver(a_cancel(command), command) == []
    async with background(intake.engine.run):
        await until(lambda: len(intake.engine) == 0)
    assert harness.provider.calls == []
    assert harness.attempts.kept[command.attempt_id]["state"] == "cancelled"


async def test_a_database_that_is_away_leaves_the_batch_to_be_delivered_again(
    harness: GatewayHarness,
) -> None:
    intake = IntakeHarness(harness)
    await harness.owner()
    harness.attempts.failures = [AutoReconnect("away")]
    with pytest.raises(AutoReconnect):
        await intake.deliver(a_command())
    assert len(intake.engine) == 0


async def test_a_full_process_accepts_cancels_but_no_commands_until_some_have_ended(
    harness: GatewayHarness,
) -> None:
    intake, held, waiting = IntakeHarness(harness, most=1), a_command(), a_command()
    await harness.owner()
    await intake.deliver(held)
    with pytest.raises(Backpressure):
        await intake.deliver(waiting)
    assert set(harness.attempts.kept) == {held.attempt_id}
    await intake.deliver(a_cancel(held))
    async with background(intake.engine.run):
        await until(lambda: len(intake.engine) == 0)
    await intake.deliver(waiting)
    assert len(intake.engine) == 1


def a_result(command: RenderRequested, **fields: Any) -> ResultStored:
    image = StoredImage(
        key="acme/k.png",
        content_type="image/png",
        bytes=1,
        sha256="0" * 64,
        width=1,
        height=1,
        seed=1,
        prompt="a lighthouse",
        provider=command.provider,
        attempt=1,
    )
    known = {
        "attempt_id": command.attempt_id,
        "job_id": command.job_id,
        "tenant": command.tenant,
        "provider": command.provider,
        "at": now(),
        "image": image,
    }
    return ResultStored.model_validate(known | fields)


async def test_a_discarded_image_is_recorded_as_a_duplicate(harness: GatewayHarness) -> None:
    intake = IntakeHarness(harness)
    await harness.owner()
    first, second = a_command(), a_command()
    await intake.deliver(first, second)
    await intake.deliver(a_result(first), a_result(second, duplicate=True))
    entries = [harness.attempts.kept[command.attempt_id] for command in (first, second)]
    assert ["duplicate" in entry for entry in entries] == [False, True]
    assert entries[1]["duplicate"] is True


async def test_a_duplicate_of_another_provider_is_recorded_by_its_own_gateway(
    harness: GatewayHarness,
) -> None:
    intake = IntakeHarness(harness)
    await harness.owner()
    await intake.deliver(a_result(a_command(provider="modal"), duplicate=True))
    assert harness.attempts.kept == {}

"""The end of an attempt: its write, its message, and their order."""

from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from contracts.base import Message, key_of
from contracts.renders import Output, RenderFailed, RenderSucceeded
from services.gateways.kit.provider import AttemptStatus, Completed, Failed
from services.gateways.runtime.lifecycle.decisions import End
from services.gateways.runtime.lifecycle.endings import given_up
from services.gateways.runtime.lifecycle.submitting import LEASE_RETRY
from shared.clock import now
from tests.fakes.ledger import GatewayHarness, set_state
from tests.fakes.provider import DONE, a_command
from tests.unit.workflow_graphs import draft_and_final, drawing

BROKEN = Failed("provider_error", "out of memory", retryable=True, billed="yes")


async def test_a_failure_and_its_outbox_entry_are_one_write(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [BROKEN]
    await harness.step(attempt)
    harness.attempts.bulk_writes = 0
    await harness.step(attempt)
    entry = harness.entry(attempt)
    assert harness.attempts.bulk_writes == 1
    assert (entry["state"], len(entry["outbox"]["messages"])) == ("failed", 1)


async def test_a_published_outbox_entry_is_removed_by_housekeeping(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [BROKEN]
    await harness.finish(attempt)
    await harness.ledger.remove_published()
    assert "outbox" not in harness.entry(attempt)


async def test_a_success_is_published_before_it_is_written_and_has_no_outbox_entry(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    harness.attempts.failures = [AutoReconnect("the database is away")]
    with pytest.raises(AutoReconnect):
        await harness.step(attempt)
    assert harness.entry(attempt)["state"] == "submitted"
    await harness.finish(attempt)
    assert len(harness.publisher.said(RenderSucceeded)) == 1, "it is written again, not said again"
    assert (harness.entry(attempt)["state"], "outbox" in harness.entry(attempt)) == ("succeeded", False)


async def test_a_success_is_not_published_by_an_owner_that_may_have_expired(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    harness.lease._valid_until = 0.0
    assert await harness.step(attempt) == LEASE_RETRY
    assert harness.publisher.sent == []


@pytest.mark.parametrize(("status", "kind"), [(DONE, RenderSucceeded), (BROKEN, RenderFailed)])
async def test_without_a_broker_an_end_is_written_and_its_message_left_to_the_outbox(
    harness: GatewayHarness, status: AttemptStatus, kind: type[Message]
) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [status]
    await harness.step(attempt)
    harness.publisher.away = True
    assert await harness.step(attempt) is None
    harness.publisher.away = False
    assert await harness.outbox.sweep(timedelta(seconds=-1)) == 1
    [said] = harness.publisher.said(kind)
    assert key_of(said) == attempt.command.job_id
    assert "outbox" not in harness.entry(attempt)


async def test_a_failure_is_not_published_by_a_process_that_lost_the_attempt(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    harness.provider.statuses = [BROKEN]
    await harness.step(attempt)
    harness.entry(attempt)["owner"] = "gateway-fal:another"
    assert await harness.step(attempt) is None
    assert harness.publisher.sent == []
    assert harness.entry(attempt)["state"] == "submitted"


async def test_an_end_is_final_whatever_is_written_after_it(harness: GatewayHarness) -> None:
    attempt = await harness.accept()
    await harness.finish(attempt)
    assert not await harness.ledger.finish(attempt, End("failed", "no"), None)
    assert not await harness.ledger.record_unknown(attempt)
    assert harness.entry(attempt)["state"] == "succeeded"


async def test_a_published_success_is_final_whatever_the_provider_reports_later(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    harness.attempts.failures = [AutoReconnect("the database is away")]
    with pytest.raises(AutoReconnect):
        await harness.step(attempt)
    harness.provider.statuses = [BROKEN]
    attempt.cancel = True
    assert await harness.step(attempt) is None
    assert harness.entry(attempt)["state"] == "succeeded"
    assert [sent.topic for sent in harness.publisher.sent] == [RenderSucceeded.topic]


async def test_an_expired_owner_publishes_no_success_under_its_new_name(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    await harness.step(attempt)
    await harness.lease.take()
    assert await harness.step(attempt) is None
    assert harness.publisher.sent == []
    assert harness.provider.calls.count("poll") == 0


SCALED = draft_and_final()
"""A workflow that draws in the requested size and scales the result."""
UNSIZED = {"1": {"inputs": {"width": 640, "height": "{{height}}"}}}
UNKNOWN_NODE = drawing() | {"6": {"class_type": "TheirDecoder", "inputs": {"samples": ["5", 0]}}}


@pytest.mark.parametrize(
    ("fields", "free"),
    [
        ({}, False),
        ({"workflow": SCALED}, True),
        ({"workflow": UNSIZED}, True),
        ({"workflow": UNKNOWN_NODE}, True),
        ({"workflow": drawing()}, False),
        ({"workflow": drawing() | {"20": {"class_type": "ImageScale", "inputs": {"width": 8}}}}, False),
        ({"model": "fal-ai/flux/dev"}, False),
    ],
)
async def test_a_success_says_whether_the_workflow_chooses_the_size(
    harness: GatewayHarness, fields: dict[str, Any], free: bool
) -> None:
    attempt = await harness.accept(a_command(**fields))
    await harness.finish(attempt)
    [said] = harness.publisher.said(RenderSucceeded)
    assert said.free_size is free


@pytest.mark.parametrize(
    "status",
    [
        Failed("provider_error", "a node failed", retryable=False, billed="yes", cost_usd=0.03),
        Completed((Output(url="https://media.example/0.png", nsfw=True),), cost_usd=0.03),
    ],
)
async def test_a_failure_says_what_it_cost(harness: GatewayHarness, status: Failed | Completed) -> None:
    attempt = await harness.accept(a_command())
    harness.provider.statuses = [status]
    await harness.finish(attempt)
    [said] = harness.publisher.said(RenderFailed)
    assert (said.billed, said.cost_usd) == ("yes", 0.03)
    assert harness.entry(attempt)["cost_usd"] == 0.03


async def test_an_attempt_is_not_given_up_when_a_webhook_has_just_brought_its_ref(
    harness: GatewayHarness,
) -> None:
    attempt = await harness.accept()
    harness.without_lookup()
    await harness.step(attempt)
    set_state(attempt, "unknown", ref=None)
    harness.entry(attempt)["submission_ref"] = {"id": "from the webhook"}
    end = given_up(attempt, Failed("outcome_unknown", "no report", True, "unknown"), now())
    assert not await harness.ledger.finish(attempt, end, None)
    assert harness.entry(attempt)["owner"] == attempt.owner
    harness.entry(attempt)["submission_ref"] = None
    assert await harness.ledger.finish(attempt, end, None)

"""The end of an attempt: what is said of it, what is written, and in which order."""

from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from contracts.base import Message, key_of
from contracts.renders import Output, RenderFailed, RenderSucceeded
from services.gateways.runtime.provider import Broken, Done, News
from shared.mongo.leases import LeaseExpired
from tests.fakes.ledger import GatewayBench
from tests.fakes.provider import DONE, a_command
from tests.unit.workflow_graphs import draft_and_final, drawing

BROKEN = Broken("provider_error", "out of memory", retryable=True, billed="yes")


async def test_a_failure_and_what_it_owes_are_one_write(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [BROKEN]
    await bench.step(attempt)
    bench.attempts.bulk_writes = 0
    await bench.step(attempt)
    entry = bench.entry(attempt)
    assert bench.attempts.bulk_writes == 1
    assert (entry["state"], len(entry["outbox"]["messages"])) == ("failed", 1)


async def test_what_was_said_is_owed_no_longer_after_the_next_tidying(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [BROKEN]
    await bench.finish(attempt)
    await bench.ledger.remove_published()
    assert "outbox" not in bench.entry(attempt)


async def test_a_success_is_said_before_it_is_written_and_owes_nothing(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    bench.attempts.failures = [AutoReconnect("the database is away")]
    with pytest.raises(AutoReconnect):
        await bench.step(attempt)
    assert bench.entry(attempt)["state"] == "submitted"
    await bench.finish(attempt)
    assert len(bench.publisher.said(RenderSucceeded)) == 1, "it is written again, not said again"
    assert (bench.entry(attempt)["state"], "outbox" in bench.entry(attempt)) == ("succeeded", False)


async def test_a_success_is_not_told_by_who_may_be_dead(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    bench.lease._valid_until = 0.0
    with pytest.raises(LeaseExpired):
        await bench.step(attempt)
    assert bench.publisher.sent == []


@pytest.mark.parametrize(("news", "kind"), [(DONE, RenderSucceeded), (BROKEN, RenderFailed)])
async def test_without_a_broker_an_end_is_written_and_its_message_left_to_the_outbox(
    bench: GatewayBench, news: News, kind: type[Message]
) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [news]
    await bench.step(attempt)
    bench.publisher.away = True
    assert await bench.step(attempt) is None
    bench.publisher.away = False
    assert await bench.outbox.sweep(timedelta(seconds=-1)) == 1
    [said] = bench.publisher.said(kind)
    assert key_of(said) == attempt.command.job_id
    assert "outbox" not in bench.entry(attempt)


async def test_a_failure_is_not_said_by_who_lost_the_attempt(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    bench.provider.news = [BROKEN]
    await bench.step(attempt)
    bench.entry(attempt)["owner"] = "gateway-fal:another"
    assert await bench.step(attempt) is None
    assert bench.publisher.sent == []
    assert bench.entry(attempt)["state"] == "submitted"


async def test_an_end_is_final_whatever_is_written_after_it(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.finish(attempt)
    assert not await bench.ledger.finish(attempt, "failed", None, billed="no")
    assert not await bench.ledger.move(attempt, "submitting")
    assert bench.entry(attempt)["state"] == "succeeded"


async def test_a_success_that_was_said_stays_one_whatever_its_provider_says_then(bench: GatewayBench) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    bench.attempts.failures = [AutoReconnect("the database is away")]
    with pytest.raises(AutoReconnect):
        await bench.step(attempt)
    bench.provider.news = [BROKEN]
    attempt.cancel = True
    assert await bench.step(attempt) is None
    assert bench.entry(attempt)["state"] == "succeeded"
    assert [sent.topic for sent in bench.publisher.sent] == [RenderSucceeded.topic]


async def test_who_was_declared_dead_meanwhile_tells_no_success_under_its_new_name(
    bench: GatewayBench,
) -> None:
    attempt = await bench.take_in()
    await bench.step(attempt)
    await bench.lease.take()
    assert await bench.step(attempt) is None
    assert bench.publisher.sent == []
    assert bench.provider.calls.count("poll") == 0


SCALED = draft_and_final()
"""Takes the size that was asked for, and scales what it drew."""
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
    bench: GatewayBench, fields: dict[str, Any], free: bool
) -> None:
    attempt = await bench.take_in(a_command(**fields))
    await bench.finish(attempt)
    [said] = bench.publisher.said(RenderSucceeded)
    assert said.free_size is free


@pytest.mark.parametrize(
    "news",
    [
        Broken("provider_error", "a node failed", retryable=False, billed="yes", cost_usd=0.03),
        Done((Output(url="https://media.example/0.png", nsfw=True),), cost_usd=0.03),
    ],
)
async def test_a_failure_says_what_it_cost(bench: GatewayBench, news: Broken | Done) -> None:
    attempt = await bench.take_in(a_command())
    bench.provider.news = [news]
    await bench.finish(attempt)
    [said] = bench.publisher.said(RenderFailed)
    assert (said.billed, said.cost_usd) == ("yes", 0.03)
    assert bench.entry(attempt)["cost_usd"] == 0.03

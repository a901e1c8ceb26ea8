"""An unexpected error fails its own attempt at once, and no other."""

import pytest
from aiokafka import TopicPartition

from contracts.renders import RenderFailed, RenderSucceeded, ResultStored
from services.result_store.fetching import OutputNotReady
from services.result_store.handlers import handlers
from services.result_store.images import Accepted, Limits
from services.result_store.pending_outputs import PAUSES_SECONDS
from tests.fakes.kafka import FakeConsumer, FakeSender, a_record
from tests.fakes.results import PATH, ResultStoreHarness, a_result
from tests.fakes.subscriptions import FakeKafka
from tests.fakes.waiting import background, until
from tests.unit.result_store.pictures import comfyui_png


class Listening:
    """A result-store's subscription between a fake consumer and a fake sender."""

    def __init__(self, harness: ResultStoreHarness) -> None:
        self.sender = FakeSender([])
        self._kafka = FakeKafka(self.sender)
        handlers(self._kafka.subscribe, harness.results)

    async def handle(self, *results: RenderSucceeded) -> dict[str, str]:
        """Handle a batch; return the outcome of each attempt: a failure's code, or `stored`."""
        consumer = FakeConsumer([], {TopicPartition(RenderSucceeded.topic, 0)})
        records = [a_record(result, offset=offset) for offset, result in enumerate(results)]
        await self._kafka.deliver(records, consumer)
        outcomes = {}
        for sent in self.sender.sent:
            if sent.topic == ResultStored.topic:
                outcomes[ResultStored.model_validate_json(sent.body).attempt_id] = "stored"
            elif sent.topic == RenderFailed.topic:
                failed = RenderFailed.model_validate_json(sent.body)
                outcomes[failed.attempt_id] = f"{failed.code}, {failed.retryable}, {failed.billed}"
        return outcomes


async def test_an_unexpected_error_fails_only_its_own_attempt() -> None:
    harness = ResultStoreHarness()
    good, bad = a_result(), a_result(path="/bad")
    harness.fetch.outputs = {PATH: comfyui_png(), "/bad": AssertionError("a bug")}
    service = Listening(harness)
    outcomes = await service.handle(good, bad)
    assert outcomes == {good.attempt_id: "stored", bad.attempt_id: "internal_error, True, yes"}
    assert service.sender.letters() == []


async def test_an_image_that_breaks_its_check_is_corrupt() -> None:
    def broken(data: bytes, limits: Limits) -> Accepted:
        raise AssertionError("a bug of a decoder")

    harness = ResultStoreHarness(check=broken)
    harness.fetch.outputs[PATH] = comfyui_png()
    [published] = await harness.store(a_result())
    assert isinstance(published, RenderFailed)
    assert (published.code, published.retryable) == ("image_corrupt", True)
    assert "AssertionError: a bug of a decoder" in published.message


async def test_an_unexpected_error_of_a_pending_output_is_final_after_the_last_pause() -> None:
    harness, result = ResultStoreHarness(), a_result()
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    await harness.store(result)
    harness.fetch.outputs[PATH] = AssertionError("a bug")
    for tries in range(len(PAUSES_SECONDS)):
        harness.wake(result)
        async with background(harness.late.run):
            await until(lambda: harness.document(result)["tries"] == tries + 1)  # noqa: B023
        assert harness.publisher.sent == []
    harness.wake(result)
    async with background(harness.late.run):
        await until(lambda: harness.publisher.sent)
    [failure] = harness.publisher.published(RenderFailed)
    assert (failure.code, failure.attempt_id) == ("internal_error", result.attempt_id)
    assert harness.document(result)["wake_at"] is None


@pytest.mark.parametrize("tries", [0, len(PAUSES_SECONDS)])
async def test_an_outage_of_a_server_does_not_count_as_a_try(tries: int) -> None:
    harness, result = ResultStoreHarness(), a_result()
    harness.fetch.outputs[PATH] = OutputNotReady("503")
    await harness.store(result)
    harness.document(result)["tries"] = tries
    harness.fetch.outputs[PATH] = ConnectionError("the database is away")
    harness.fetch.fetched.clear()
    harness.wake(result)
    async with background(harness.late.run):
        await until(lambda: harness.fetch.fetched)
    assert (harness.document(result)["tries"], harness.document(result)["state"]) == (tries, "pending")
    assert harness.publisher.sent == []

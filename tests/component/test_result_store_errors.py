"""An error that nobody foresaw fails its own attempt, and no render waits for its deadline because of it."""

import pytest
from aiokafka import TopicPartition

from contracts.renders import RenderFailed, RenderSucceeded, ResultStored
from services.result_store.fetching import OutputLate
from services.result_store.handlers import handlers
from services.result_store.images import Accepted, Limits
from services.result_store.late import PAUSES_SECONDS
from tests.fakes.kafka import FakeConsumer, FakeSender, a_record
from tests.fakes.results import PATH, ResultsBench, a_result
from tests.fakes.subscriptions import FakeKafka
from tests.fakes.waiting import background, until
from tests.unit.result_store.pictures import comfyui_png


class Listening:
    """A result-store's subscription between a fake consumer and a fake sender."""

    def __init__(self, bench: ResultsBench) -> None:
        self.sender = FakeSender([])
        self._kafka = FakeKafka(self.sender)
        handlers(self._kafka.subscribe, bench.results)

    async def hear(self, *results: RenderSucceeded) -> dict[str, str]:
        """Return what is said of each attempt of one batch: a failure's code, or `stored`."""
        consumer = FakeConsumer([], {TopicPartition(RenderSucceeded.topic, 0)})
        records = [a_record(result, offset=offset) for offset, result in enumerate(results)]
        await self._kafka.deliver(records, consumer)
        said = {}
        for sent in self.sender.sent:
            if sent.topic == ResultStored.topic:
                said[ResultStored.model_validate_json(sent.body).attempt_id] = "stored"
            elif sent.topic == RenderFailed.topic:
                failed = RenderFailed.model_validate_json(sent.body)
                said[failed.attempt_id] = f"{failed.code}, {failed.retryable}, {failed.billed}"
        return said


async def test_an_unforeseen_error_fails_its_own_attempt_and_the_others_are_stored() -> None:
    bench = ResultsBench()
    good, bad = a_result(), a_result(path="/bad")
    bench.fetch.outputs = {PATH: comfyui_png(), "/bad": AssertionError("a bug")}
    listening = Listening(bench)
    said = await listening.hear(good, bad)
    assert said == {good.attempt_id: "stored", bad.attempt_id: "internal_error, True, yes"}
    assert listening.sender.letters() == []


async def test_an_image_that_breaks_its_check_is_corrupt() -> None:
    def broken(data: bytes, limits: Limits) -> Accepted:
        raise AssertionError("a bug of a decoder")

    bench = ResultsBench(check=broken)
    bench.fetch.outputs[PATH] = comfyui_png()
    [said] = await bench.store(a_result())
    assert isinstance(said, RenderFailed)
    assert (said.code, said.retryable) == ("image_corrupt", True)
    assert "AssertionError: a bug of a decoder" in said.message


async def test_an_unforeseen_error_of_a_late_output_ends_after_the_last_pause() -> None:
    bench, result = ResultsBench(), a_result()
    bench.fetch.outputs[PATH] = OutputLate("503")
    await bench.store(result)
    bench.fetch.outputs[PATH] = AssertionError("a bug")
    for tries in range(len(PAUSES_SECONDS)):
        bench.wake(result)
        async with background(bench.late.run):
            await until(lambda: bench.document(result)["tries"] == tries + 1)  # noqa: B023
        assert bench.publisher.sent == []
    bench.wake(result)
    async with background(bench.late.run):
        await until(lambda: bench.publisher.sent)
    [failure] = bench.publisher.said(RenderFailed)
    assert (failure.code, failure.attempt_id) == ("internal_error", result.attempt_id)
    assert bench.document(result)["wake_at"] is None


@pytest.mark.parametrize("tries", [0, len(PAUSES_SECONDS)])
async def test_a_server_that_is_away_costs_a_late_output_no_try(tries: int) -> None:
    bench, result = ResultsBench(), a_result()
    bench.fetch.outputs[PATH] = OutputLate("503")
    await bench.store(result)
    bench.document(result)["tries"] = tries
    bench.fetch.outputs[PATH] = ConnectionError("the database is away")
    bench.fetch.fetched.clear()
    bench.wake(result)
    async with background(bench.late.run):
        await until(lambda: bench.fetch.fetched)
    assert (bench.document(result)["tries"], bench.document(result)["state"]) == (tries, "pending")
    assert bench.publisher.sent == []

"""Very many attempts at a provider that lists what it has: polls are rare, and ends are seen all the same."""

from collections import Counter
from dataclasses import replace

from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.renders import RenderFailed, RenderSucceeded
from services.gateways.runtime.lifecycle.limits import ProviderLimits
from tests.component.test_gateway_reconciler import NEVER, ProcessHarness, UnavailableList
from tests.fakes.adapters import an_adapter_harness
from tests.fakes.provider import a_cancel, a_command
from tests.fakes.waiting import until

MANY = ProviderLimits(
    max_poll_interval=0.05, polls_per_second=0.01, reconcile_interval=NEVER, grace_period=0.0
)
"""Three are as many as 60,000 in real life: one poll of each in five minutes, one call in 0.05 s."""


class RequestCounter:
    """Counts requests to the provider by the first part of the path."""

    def __init__(self) -> None:
        self.paths = Counter[str]()

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            self.paths[scope.get("path", "").split("/")[1]] += 1
            await app(scope, receive, send)

        return answer

    async def calls(self, count: int) -> None:
        """Wait for a number of further requests for the list."""
        wanted = self.paths["calls"] + count
        await until(lambda: self.paths["calls"] >= wanted)


async def test_many_submissions_are_polled_rarely_and_missing_ones_at_once() -> None:
    requests = RequestCounter()
    async with (
        an_adapter_harness("modal", latency_seconds=NEVER, wrap=requests.wrap) as adapter,
        ProcessHarness(adapter.provider).running(MANY) as harness,
    ):
        await harness.submit(*(a_command(provider="modal") for _ in range(3)))
        await requests.calls(4)
        polls = requests.paths["result"]
        await requests.calls(4)
        assert requests.paths["result"] == polls
        await adapter.forget()
        await until(lambda: len(harness.publisher.said(RenderFailed)) == 3)


async def test_few_submissions_are_polled_without_a_list() -> None:
    requests = RequestCounter()
    async with (
        an_adapter_harness("modal", latency_seconds=NEVER, wrap=requests.wrap) as adapter,
        ProcessHarness(adapter.provider).running(replace(MANY, polls_per_second=100.0)) as harness,
    ):
        await harness.submit(a_command(provider="modal"))
        await until(lambda: requests.paths["result"] > 5)
    assert requests.paths["calls"] == 1, "by the reconciliation, at the start"


async def test_the_rest_is_polled_at_once_when_load_ends() -> None:
    requests = RequestCounter()
    async with (
        an_adapter_harness("modal", latency_seconds=NEVER, wrap=requests.wrap) as adapter,
        ProcessHarness(adapter.provider).running(
            replace(MANY, max_poll_interval=0.2, polls_per_second=10.0)
        ) as harness,
    ):
        many = [a_command(provider="modal") for _ in range(40)]
        await harness.submit(*many)
        await requests.calls(2)
        for command in many[1:]:
            await harness.service.deliver(a_cancel(command))
        await until(lambda: requests.paths["cancel"] >= 39)
        polls = requests.paths["result"]
        await until(lambda: requests.paths["result"] > polls + 3)


async def test_an_unavailable_list_makes_no_poll_rarer() -> None:
    requests, silence = RequestCounter(), UnavailableList("/calls")
    silence.over = True
    async with (
        an_adapter_harness(
            "modal", latency_seconds=NEVER, wrap=lambda app: requests.wrap(silence.wrap(app))
        ) as adapter,
        ProcessHarness(adapter.provider).running(MANY) as harness,
    ):
        await harness.submit(a_command(provider="modal"))
        await requests.calls(2)
        silence.over = False
        await requests.calls(2)
        await adapter.behave(latency_seconds=0.3, concurrency=2)
        await harness.service.deliver(a_command(provider="modal"))
        await until(lambda: harness.publisher.said(RenderSucceeded))

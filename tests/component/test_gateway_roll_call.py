"""Very many attempts at a provider that lists what it has: polls are rare, and ends are seen all the same."""

from collections import Counter
from dataclasses import replace

from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.renders import RenderFailed, RenderSucceeded
from services.gateways.runtime.provider import Pace
from tests.component.test_gateway_reconciling import NEVER, House, Silence
from tests.fakes.adapters import a_rig
from tests.fakes.provider import a_cancel, a_command
from tests.fakes.waiting import until

MANY = Pace(slowest_poll=0.05, polls_per_second=0.01, reconcile=NEVER, grace=0.0)
"""Three are as many as 60,000 in real life: one poll of each in five minutes, one call in 0.05 s."""


class Heard:
    """What the provider was asked, by the first part of the path."""

    def __init__(self) -> None:
        self.paths = Counter[str]()

    def wrap(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            self.paths[scope.get("path", "").split("/")[1]] += 1
            await app(scope, receive, send)

        return answer

    async def calls(self, count: int) -> None:
        """Wait until the provider was asked so often for its list."""
        wanted = self.paths["calls"] + count
        await until(lambda: self.paths["calls"] >= wanted)


async def test_many_are_polled_rarely_and_who_is_gone_at_once() -> None:
    heard = Heard()
    async with (
        a_rig("modal", latency_seconds=NEVER, wrap=heard.wrap) as rig,
        House(rig.provider).running(MANY) as house,
    ):
        await house.submit(*(a_command(provider="modal") for _ in range(3)))
        await heard.calls(4)
        polls = heard.paths["result"]
        await heard.calls(4)
        assert heard.paths["result"] == polls
        await rig.forget()
        await until(lambda: len(house.publisher.said(RenderFailed)) == 3)


async def test_few_are_polled_and_no_list_is_asked_for() -> None:
    heard = Heard()
    async with (
        a_rig("modal", latency_seconds=NEVER, wrap=heard.wrap) as rig,
        House(rig.provider).running(replace(MANY, polls_per_second=100.0)) as house,
    ):
        await house.submit(a_command(provider="modal"))
        await until(lambda: heard.paths["result"] > 5)
    assert heard.paths["calls"] == 1, "by the reconciliation, at the start"


async def test_when_they_are_few_again_the_rest_is_polled_at_once() -> None:
    heard = Heard()
    async with (
        a_rig("modal", latency_seconds=NEVER, wrap=heard.wrap) as rig,
        House(rig.provider).running(replace(MANY, slowest_poll=0.2, polls_per_second=10.0)) as house,
    ):
        many = [a_command(provider="modal") for _ in range(40)]
        await house.submit(*many)
        await heard.calls(2)
        for command in many[1:]:
            await house.service.deliver(a_cancel(command))
        await until(lambda: heard.paths["cancel"] >= 39)
        polls = heard.paths["result"]
        await until(lambda: heard.paths["result"] > polls + 3)


async def test_a_list_that_is_not_given_makes_no_poll_rarer() -> None:
    heard, silence = Heard(), Silence("/calls")
    silence.over = True
    async with (
        a_rig("modal", latency_seconds=NEVER, wrap=lambda app: heard.wrap(silence.wrap(app))) as rig,
        House(rig.provider).running(MANY) as house,
    ):
        await house.submit(a_command(provider="modal"))
        await heard.calls(2)
        silence.over = False
        await heard.calls(2)
        await rig.behave(latency_seconds=0.3, concurrency=2)
        await house.service.deliver(a_command(provider="modal"))
        await until(lambda: house.publisher.said(RenderSucceeded))

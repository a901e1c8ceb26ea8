"""Orders do not wait for each other, are submitted at a steady pace, and every response is counted."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from tests.chaos.load import Order
from tests.chaos.loading import Loading
from tests.chaos.upstream import Upstream
from tests.chaos.watching import Watcher
from tests.chaos.work import ACCEPTED, LATER, SILENT
from tests.tools.chaos.evidence_of_a_job import ORDER

ORDERS = [replace(ORDER, job_id=str(n), over_http=n % 2 == 0) for n in range(20)]


class SilentHttp:
    """HTTP requests are never answered, Kafka at once."""

    async def ask(self, order: Order) -> None:
        if order.over_http:
            await asyncio.Event().wait()


class SlowWatcher:
    """No job ever ends; the waits are recorded."""

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self.most: set[int] = set()

    async def until_open(self, asked: int, most: int) -> None:
        self.most.add(most)


async def test_an_http_outage_does_not_delay_orders_over_kafka() -> None:
    loading = Loading(cast(Upstream, SilentHttp()), cast(Watcher, SlowWatcher()), every=0.0)
    await loading.run(ORDERS, 0.05)
    assert sorted(loading.asked, key=int) == [order.job_id for order in ORDERS if not order.over_http]


async def test_an_abandoned_order_does_not_end_the_others() -> None:
    class Impatient:
        async def ask(self, order: Order) -> None:
            if order.job_id == "0":
                raise TimeoutError
            await asyncio.sleep(0.02)

    loading = Loading(cast(Upstream, Impatient()), cast(Watcher, SlowWatcher()), every=0.0)
    await loading.run([ORDERS[1], ORDERS[0], *ORDERS[2:]], 5.0)
    assert len(loading.asked) == len(ORDERS) - 1


async def test_orders_wait_for_ended_jobs_only_with_a_limit_of_open_jobs() -> None:
    steady, closed = SlowWatcher(), SlowWatcher()
    await Loading(cast(Upstream, SilentHttp()), cast(Watcher, steady), every=0.0).run(ORDERS, 0.05)
    loading = Loading(cast(Upstream, SilentHttp()), cast(Watcher, closed), every=0.0, most_open=10)
    await loading.run(ORDERS, 0.05)
    assert (steady.most, closed.most) == (set(), {10})


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (httpx.Response(202), ACCEPTED),
        (httpx.Response(503, headers={"retry-after": "1"}), LATER),
        (httpx.Response(503, text="no"), "503 no"),
        (httpx.Response(500, text="oops"), "500 oops"),
        (httpx.ConnectError("gone"), SILENT),
    ],
)
async def test_each_response_is_counted_under_the_current_outage(answer: Any, name: str) -> None:
    def say(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, httpx.Response)
        return answer

    async with Upstream("nowhere:1", lambda: ["http://api"], transport=httpx.MockTransport(say)) as upstream:
        upstream.now = lambda: "mongo"
        taken = await upstream.post(ORDER)
    assert (taken, upstream.answers) == (name == ACCEPTED, {"mongo": {name: 1}})


async def test_a_response_is_counted_under_the_outage_of_its_request() -> None:
    now = ["mongo"]

    def late(_: httpx.Request) -> httpx.Response:
        now[0] = "no outage"
        return httpx.Response(503, headers={"retry-after": "1"})

    async with Upstream("nowhere:1", lambda: ["http://api"], transport=httpx.MockTransport(late)) as upstream:
        upstream.now = lambda: now[0]
        await upstream.post(ORDER)
    assert upstream.answers == {"mongo": {LATER: 1}}

"""The event loop of these tests: no test waits, and the order of events is that of a real clock."""

import asyncio
import socket
import threading

import pytest

from tests.fakes.skipping_time import SkippingLoop

HOUR = 3600.0


async def test_sleepers_wake_in_order_and_at_their_time() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop)
    start, woken = loop.time(), list[float]()

    async def sleeper(hours: float) -> None:
        await asyncio.sleep(hours * HOUR)
        assert loop.time() - start >= hours * HOUR
        woken.append(hours)

    await asyncio.gather(*(sleeper(hours) for hours in (3, 1, 2, 1.5)))
    assert woken == [1, 1.5, 2, 3]


async def test_the_result_of_a_thread_is_waited_for() -> None:
    release = threading.Event()
    threading.Timer(0.05, release.set).start()
    async with asyncio.timeout(HOUR):
        assert await asyncio.to_thread(release.wait)


async def test_data_in_flight_on_a_socket_arrives_before_a_far_timer() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        for number in range(50):
            theirs.send(bytes([number]))
            async with asyncio.timeout(HOUR):
                assert await loop.sock_recv(ours, 1) == bytes([number])


async def test_a_missing_result_times_out() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), HOUR)

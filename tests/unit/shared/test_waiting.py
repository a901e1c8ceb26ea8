"""Waiting is patient up to a bound, then says what it waited for."""

from itertools import islice

import pytest

from shared.errors import StartupError
from shared.waiting import backoff, wait_until_up


class Server:
    """Answers from the given call on."""

    def __init__(self, up_from: int) -> None:
        self.calls = 0
        self._up_from = up_from

    async def connect(self) -> str:
        self.calls += 1
        if self.calls < self._up_from:
            raise ConnectionRefusedError("refused")
        return "connected"


def test_pauses_grow_to_a_bound_and_never_fall_below_half() -> None:
    pauses = list(islice(backoff(0.1, 1.0, 2.0), 8))
    for pause, full in zip(pauses, (0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0), strict=True):
        assert full / 2 <= pause <= full


def test_two_waiters_do_not_come_back_at_the_same_moment() -> None:
    assert list(islice(backoff(0.1, 1.0), 5)) != list(islice(backoff(0.1, 1.0), 5))


async def test_a_server_that_is_up_is_not_waited_for() -> None:
    server = Server(up_from=1)
    assert await wait_until_up("Kafka", "host:9092", server.connect, seconds=5) == "connected"
    assert server.calls == 1


async def test_a_server_that_comes_up_later_is_waited_for() -> None:
    server = Server(up_from=2)
    assert await wait_until_up("Kafka", "host:9092", server.connect, seconds=5) == "connected"


async def test_a_server_that_does_not_come_up_is_named_with_its_address_and_last_error() -> None:
    with pytest.raises(StartupError) as failure:
        await wait_until_up("MongoDB", "db.example:27017", Server(up_from=99).connect, seconds=0.01)
    text = str(failure.value)
    assert "MongoDB at db.example:27017 does not answer after 0.01 s" in text
    assert "ConnectionRefusedError: refused" in text


async def test_a_server_that_can_never_work_is_not_tried_again() -> None:
    tries = []

    async def connect() -> None:
        tries.append(1)
        raise StartupError("wrong password")

    with pytest.raises(StartupError, match="wrong password"):
        await wait_until_up("MongoDB", "db.example", connect, seconds=5)
    assert len(tries) == 1

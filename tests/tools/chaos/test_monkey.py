"""The chaos monkey covers every kind of process and the broker, and reports its own failure."""

import asyncio
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from deploy.local.services import SERVICES
from deploy.local.stack import Stack
from tests.chaos.bag import ShuffleBag
from tests.chaos.monkey import FaultProfile, Monkey
from tests.chaos.receiver import Receiver

ONE_ROUND = 25
AT_ONCE = FaultProfile(
    pause=(0.0, 0.0),
    pauses_seconds=(0.0, 0.0),
    broker_away_seconds=(0.0, 0.0),
    broker_pauses_seconds=(0.0, 0.0),
)


class FakeBroker:
    """One node that is killed and restarts at once."""

    async def kill(self, number: int) -> None:
        """Do nothing: the tests do not look at the node."""

    async def start(self, number: int) -> None:
        """Do nothing."""


@dataclass
class FakeStack:
    """Processes that are always ready again."""

    fails: bool = False
    signals: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        kinds = dict.fromkeys(["kafka", "mongo", "s3"], "server") | dict.fromkeys(SERVICES, "service")
        kinds |= {f"{name}-2": "service" for name in SERVICES}
        self.processes = {name: SimpleNamespace(kind=kind, ready=True) for name, kind in kinds.items()}
        self.proxies = {name: SimpleNamespace(cut=lambda: None) for name in ("kafka", "mongo", "s3")}
        self.broker = FakeBroker()

    async def kill(self, name: str, number: int) -> None:
        if self.fails:
            raise TimeoutError("it did not die")
        self.signals.append((name, number))


async def run_monkey(stack: FakeStack, actions: int) -> Monkey:
    receivers = cast(list[Receiver], [SimpleNamespace(down=False)])
    monkey = Monkey(cast(Stack, stack), receivers, Random(3), AT_ONCE)
    running = asyncio.create_task(monkey.run())
    while sum(monkey.done.values()) < actions and not running.done():
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return monkey


async def test_one_round_kills_every_kind_and_pauses_and_cuts_the_broker() -> None:
    monkey = await run_monkey(FakeStack(), ONE_ROUND)
    assert monkey.missed == []
    assert {"pause kafka", "cut kafka", "cut mongo", "cut s3"} <= set(monkey.done)


async def test_kinds_that_were_not_killed_are_listed() -> None:
    monkey = await run_monkey(FakeStack(), 1)
    assert len(monkey.missed) >= len(SERVICES)


async def test_the_broker_is_paused_for_seconds_and_always_continued() -> None:
    assert max(FaultProfile().broker_pauses_seconds) <= 5
    stack = FakeStack()
    await run_monkey(stack, ONE_ROUND)
    sent = [int(number) for name, number in stack.signals if name == "kafka"]
    assert len(sent) % 2 == 0
    assert sent


async def test_a_monkey_reports_its_own_failure() -> None:
    monkey = await run_monkey(FakeStack(fails=True), ONE_ROUND)
    assert "TimeoutError" in monkey.failures[0]


def test_a_bag_returns_each_item_once_before_any_item_twice() -> None:
    bag = ShuffleBag("abc", Random(1))
    assert sorted(cast(Any, [bag.draw() for _ in range(3)])) == ["a", "b", "c"]
    assert sorted(cast(Any, [bag.draw() for _ in range(3)])) == ["a", "b", "c"]


def test_an_item_that_a_bag_skips_keeps_its_place() -> None:
    bag = ShuffleBag("ab", Random(1))
    assert bag.draw(lambda thing: thing == "b") == "b"
    assert bag.draw(lambda thing: thing == "b") is None
    assert bag.draw() == "a"

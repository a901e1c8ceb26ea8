"""The monkey misses no kind of process, touches the broker, and says when it stopped by itself."""

import asyncio
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from deploy.local.services import SERVICES
from deploy.local.stack import Stack
from tests.chaos.bag import Bag
from tests.chaos.monkey import Monkey, Temper
from tests.chaos.receiver import Receiver

ONE_ROUND = 25
AT_ONCE = Temper(
    pause=(0.0, 0.0),
    pauses_seconds=(0.0, 0.0),
    broker_away_seconds=(0.0, 0.0),
    broker_pauses_seconds=(0.0, 0.0),
)


class FakeBroker:
    """One node that dies and comes back at once."""

    async def kill(self, number: int) -> None:
        """Do nothing: nobody looks at what became of it."""

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


async def let_loose(stack: FakeStack, deeds: int) -> Monkey:
    receivers = cast(list[Receiver], [SimpleNamespace(down=False)])
    monkey = Monkey(cast(Stack, stack), receivers, Random(3), AT_ONCE)
    running = asyncio.create_task(monkey.run())
    while sum(monkey.done.values()) < deeds and not running.done():
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return monkey


async def test_one_round_kills_every_kind_and_pauses_and_cuts_the_broker() -> None:
    monkey = await let_loose(FakeStack(), ONE_ROUND)
    assert monkey.spared == []
    assert {"pause kafka", "cut kafka", "cut mongo", "cut s3"} <= set(monkey.done)


async def test_kinds_that_were_not_killed_are_named() -> None:
    monkey = await let_loose(FakeStack(), 1)
    assert len(monkey.spared) >= len(SERVICES)


async def test_the_broker_is_paused_for_seconds_and_always_woken() -> None:
    assert max(Temper().broker_pauses_seconds) <= 5
    stack = FakeStack()
    await let_loose(stack, ONE_ROUND)
    sent = [int(number) for name, number in stack.signals if name == "kafka"]
    assert len(sent) % 2 == 0
    assert sent


async def test_a_monkey_that_ends_by_itself_says_so() -> None:
    monkey = await let_loose(FakeStack(fails=True), ONE_ROUND)
    assert "TimeoutError" in monkey.failures[0]


def test_a_bag_gives_everything_once_before_anything_twice() -> None:
    bag = Bag("abc", Random(1))
    assert sorted(cast(Any, [bag.draw() for _ in range(3)])) == ["a", "b", "c"]
    assert sorted(cast(Any, [bag.draw() for _ in range(3)])) == ["a", "b", "c"]


def test_what_a_bag_cannot_give_now_keeps_its_turn() -> None:
    bag = Bag("ab", Random(1))
    assert bag.draw(lambda thing: thing == "b") == "b"
    assert bag.draw(lambda thing: thing == "b") is None
    assert bag.draw() == "a"

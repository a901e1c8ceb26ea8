"""Conditions under which a platform counts as at rest."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import TopicPartition

from tests.chaos.lag import lag_of
from tests.chaos.settling import nothing_in_a_row, waiting_for_next_try

PART, OTHER = TopicPartition("a.v1", 0), TopicPartition("a.v1", 1)
FOREIGN = TopicPartition("b.v1", 0)


class Checks:
    def __init__(self, *found: list[str]) -> None:
        self.left = list(found)

    async def __call__(self) -> list[str]:
        return self.left.pop(0)


async def test_one_empty_check_is_not_enough() -> None:
    looks = Checks([], ["jobs: x"], [], [])
    assert (await nothing_in_a_row(looks, 5.0, 0.0), looks.left) == ([], [])


async def test_the_last_findings_are_returned_when_the_time_is_up() -> None:
    looks = Checks(*[["jobs: x"]] * 100)
    assert await nothing_in_a_row(looks, 0.05, 0.02) == ["jobs: x"]


def test_a_group_lags_on_a_partition_that_it_has_not_committed_to_the_end() -> None:
    ends = {PART: 5, OTHER: 2, FOREIGN: 9}
    assert list(lag_of("g", {PART: 5, OTHER: -1, FOREIGN: -1}, ends)) == ["lag: g: a.v1/1: 2"]
    assert list(lag_of("g", {PART: 3}, ends)) == ["lag: g: a.v1/0: 2", "lag: g: a.v1/1: 2"]
    assert list(lag_of("g", {PART: 5, OTHER: 2}, ends)) == []


def test_a_webhook_that_is_being_sent_is_not_made_due() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    questions: dict[str, Any] = waiting_for_next_try(now)
    _, question = questions["deliveries"]
    assert (question["lease_until"], question["state"]) == ({"$not": {"$gt": now}}, "pending")
    assert question["due_at"]["$gt"] > now + timedelta(seconds=1)

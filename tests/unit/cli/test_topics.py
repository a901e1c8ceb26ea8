"""Lag: from the ends of a log and what its groups have committed."""

from aiokafka import TopicPartition

from clients.cli.topics import Log, Row, rows_of

FIRST, SECOND = TopicPartition("a", 0), TopicPartition("a", 1)
OTHER = TopicPartition("b", 0)


def test_lag_counts_what_a_group_has_not_committed() -> None:
    """A partition without a commit is behind by all that it holds."""
    log = Log(
        first={FIRST: 10, SECOND: 0, OTHER: 0},
        end={FIRST: 15, SECOND: 4, OTHER: 2},
        committed={"readers": {FIRST: 13}, "others": {}},
    )
    assert rows_of(log) == [Row("a", 2, 9, "readers", 13, 6), Row("b", 1, 2)]


def test_a_topic_may_have_several_groups() -> None:
    """One row for each."""
    log = Log(first={OTHER: 0}, end={OTHER: 2}, committed={"one": {OTHER: 2}, "two": {OTHER: 0}})
    assert [(row.group, row.lag) for row in rows_of(log)] == [("one", 0), ("two", 2)]

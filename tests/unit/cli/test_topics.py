"""Lag of consumer groups, from the offsets of topics and groups."""

from aiokafka import TopicPartition

from clients.cli.topics import Row, TopicOffsets, rows_of

FIRST, SECOND = TopicPartition("a", 0), TopicPartition("a", 1)
OTHER = TopicPartition("b", 0)


def test_a_partition_without_a_commit_lags_by_all_its_messages() -> None:
    offsets = TopicOffsets(
        first={FIRST: 10, SECOND: 0, OTHER: 0},
        end={FIRST: 15, SECOND: 4, OTHER: 2},
        committed={"readers": {FIRST: 13}, "others": {}},
    )
    assert rows_of(offsets) == [Row("a", 2, 9, "readers", 13, 6), Row("b", 1, 2)]


def test_a_topic_has_a_row_per_consumer_group() -> None:
    offsets = TopicOffsets(first={OTHER: 0}, end={OTHER: 2}, committed={"one": {OTHER: 2}, "two": {OTHER: 0}})
    assert [(row.group, row.lag) for row in rows_of(offsets)] == [("one", 0), ("two", 2)]

"""Our own ids are UUIDs of version 7: unique, and sorted by the time they were made."""

import time
from uuid import RFC_4122, UUID

from shared.ids import uuid7


def test_an_id_is_a_uuid_of_version_7_in_canonical_form() -> None:
    for text in (uuid7() for _ in range(100)):
        made = UUID(text)
        assert str(made) == text
        assert (made.version, made.variant) == (7, RFC_4122)


def test_an_id_carries_the_time_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = UUID(uuid7()).int >> 80
    assert before <= milliseconds <= time.time_ns() // 1_000_000


def test_ids_of_the_same_moment_differ() -> None:
    assert len({uuid7() for _ in range(1000)}) == 1000

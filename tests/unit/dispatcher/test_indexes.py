"""Indexes of `jobs` follow the order of listings, with and without a status."""

import pytest

from services.dispatcher.__main__ import INDEXES

ORDER = [("requested_at", -1), ("_id", -1)]


@pytest.mark.parametrize("equal", [["tenant"], ["tenant", "status"]])
def test_a_page_of_jobs_is_read_in_the_order_of_an_index(equal: list[str]) -> None:
    keys = [list(index.document["key"].items()) for index in INDEXES]
    assert [(name, 1) for name in equal] + ORDER in keys

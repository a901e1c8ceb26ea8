"""Composed ids are formatted and parsed consistently."""

import pytest

from contracts.ids import AttemptKey, RenderKey

JOB = "0190a6a0-0000-7000-8000-000000000001"


def test_a_render_key_is_written_and_read_back() -> None:
    key = RenderKey(JOB, 12)
    assert str(key) == f"{key}" == f"{JOB}/12"
    assert RenderKey.parse(str(key)) == key


def test_an_attempt_key_is_written_and_read_back() -> None:
    key = AttemptKey(JOB, 2, 11)
    assert str(key) == f"{JOB}/2/11"
    assert AttemptKey.parse(str(key)) == key
    assert key.render == RenderKey(JOB, 2)


@pytest.mark.parametrize("text", ["", JOB, f"{JOB}/0/1/2", f"{JOB}/a/1"])
def test_a_text_that_is_not_an_attempt_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is Python's
        AttemptKey.parse(text)

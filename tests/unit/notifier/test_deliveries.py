"""Retries of a delivery, and their end."""

from datetime import timedelta

import pytest

from services.notifier.deliveries import MAX_RETRY_AFTER, Delivery, Outcome, after_attempt, delivery_of
from services.notifier.settings import Settings
from shared.errors import StartupError
from shared.http.retry_after import retry_after
from shared.settings import read_settings
from tests.fakes.jobs import START, an_event

NEW = delivery_of(an_event("accepted", 1), "https://shop.example", START)
FAILED = Outcome(status=500, error="Internal Server Error")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    done = after_attempt(NEW, Outcome(status=status), START)
    assert (done.state, done.attempts, done.lease_until) == ("delivered", 1, None)


def test_pauses_grow_to_an_hour_and_end_after_a_day() -> None:
    delivery, pauses = NEW, []
    now = START
    while True:
        tried: Delivery = after_attempt(delivery, FAILED, now)
        if tried.state == "gave_up":
            break
        assert tried.due_at
        pauses.append((tried.due_at - now).total_seconds())
        delivery, now = tried, tried.due_at
    assert pauses[:8] == [1, 5, 30, 120, 600, 1800, 3600, 3600]
    assert timedelta(hours=23) <= now - START <= timedelta(hours=24)


@pytest.mark.parametrize("outcome", [Outcome(status=410), Outcome(error="not public", refused=True)])
def test_410_and_refused_addresses_end_a_delivery_at_once(outcome: Outcome) -> None:
    assert after_attempt(NEW, outcome, START).state == "gave_up"


@pytest.mark.parametrize(
    ("attempts", "asked", "pause"),
    [
        (0, 8, 8),
        (0, 0, 1),
        (0, None, 1),
        (3, 8, 120),
        (0, 999_999, 3600),
        (0, 1e9, 3600),
        (0, -5, 1),
    ],
)
def test_the_longer_pause_applies_up_to_an_hour(attempts: int, asked: float | None, pause: float) -> None:
    tried = after_attempt(
        NEW.model_copy(update={"attempts": attempts}), Outcome(status=429, retry_after=asked), START
    )
    assert tried.due_at
    assert (tried.due_at - START).total_seconds() == pause
    assert timedelta(hours=1) == MAX_RETRY_AFTER


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("8", 8),
        (" 8 ", 8),
        ("1.5", 1.5),
        ("Tue, 01 Jan 2030 12:00:08 GMT", 8),
        ("Tue, 01 Jan 2030 11:59:00 GMT", 0),
        ("Tuesday, 01-Jan-30 12:00:08 GMT", 8),
        ("Tue Jan  1 12:00:08 2030", 8),
        ("", None),
        ("soon", None),
        ("-8", None),
        ("inf", None),
        ("nan", None),
        ("9999999999", 1e9),
        ("9" * 400, 1e9),
        ("Tue, 01 Jan 99999999999999999999 12:00:08 GMT", None),
        ("Tue, 99 Jan 2030 12:00:08 GMT", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after([header], START) == seconds


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64!", "c2hvcnQ="])
def test_start_up_fails_when_the_secret_is_no_key(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_WEBHOOK_SECRET", secret)
    with pytest.raises(StartupError, match="NOTIFIER_WEBHOOK_SECRET"):
        read_settings(Settings)


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["6, 8"], 8.0),
        (["8", "6"], 8.0),
        (["+6"], 6.0),
        (["soon, 3"], 3.0),
        (["5", "Tue, 01 Jan 2030 12:00:30 GMT"], 30.0),
        (["Tue, 01 Jan 2030 12:00:30 GMT, 45"], 45.0),
        (["-1, -2", "x"], None),
        ([], None),
    ],
)
def test_of_several_values_of_retry_after_the_largest_valid_one_counts(
    lines: list[str], seconds: float | None
) -> None:
    assert retry_after(lines, START) == seconds

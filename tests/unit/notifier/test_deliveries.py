"""When a webhook is tried again, and when no more."""

from datetime import timedelta

import pytest

from services.notifier.deliveries import Delivery, Outcome, after, delivery_of
from services.notifier.settings import Settings
from shared.errors import StartupError
from shared.settings import read_settings
from tests.fakes.jobs import START, an_event

NEW = delivery_of(an_event("accepted", 1), "https://shop.example", START)
FAILED = Outcome(status=500, error="Internal Server Error")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    done = after(NEW, Outcome(status=status), START)
    assert (done.state, done.attempts, done.lease_until) == ("delivered", 1, None)


def test_pauses_grow_to_an_hour_and_end_after_a_day() -> None:
    delivery, pauses = NEW, []
    now = START
    while True:
        tried: Delivery = after(delivery, FAILED, now)
        if tried.state == "gave_up":
            break
        assert tried.due_at
        pauses.append((tried.due_at - now).total_seconds())
        delivery, now = tried, tried.due_at
    assert pauses[:8] == [1, 5, 30, 120, 600, 1800, 3600, 3600]
    assert timedelta(hours=23) <= now - START <= timedelta(hours=24)


@pytest.mark.parametrize("outcome", [Outcome(status=410), Outcome(error="not public", refused=True)])
def test_some_answers_end_it_at_once(outcome: Outcome) -> None:
    assert after(NEW, outcome, START).state == "gave_up"


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64!", "c2hvcnQ="])
def test_a_secret_that_is_no_key_stops_the_start(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_WEBHOOK_SECRET", secret)
    with pytest.raises(StartupError, match="NOTIFIER_WEBHOOK_SECRET"):
        read_settings(Settings)

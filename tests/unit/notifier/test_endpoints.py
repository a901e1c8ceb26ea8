"""Backoff of a webhook endpoint, and its end."""

from datetime import timedelta

from services.notifier.deliveries import Outcome
from services.notifier.endpoints import Endpoint, after_attempt, endpoint_id, new_endpoint
from tests.fakes.jobs import START

FAILED, GOOD = Outcome(status=503, error="Service Unavailable"), Outcome(status=204)


def failing(times: int, endpoint: Endpoint | None = None) -> Endpoint:
    endpoint = endpoint or new_endpoint("acme", "https://shop.example/hook")
    for _ in range(times):
        endpoint = after_attempt(endpoint, FAILED, START)
    return endpoint


def test_an_endpoint_backs_off_after_five_failures() -> None:
    assert [failing(times).state for times in range(6)] == ["up"] * 5 + ["backing_off"]


def test_backoff_grows_to_an_hour() -> None:
    rests = [failing(times).backoff_until for times in range(5, 16)]
    seconds = [(rest - START).total_seconds() for rest in rests if rest]
    assert seconds == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_a_success_resets_the_endpoint() -> None:
    backing_off = failing(7)
    assert after_attempt(backing_off, GOOD, START) == new_endpoint("acme", "https://shop.example/hook")


def test_a_success_of_an_endpoint_without_failures_needs_no_write() -> None:
    endpoint = failing(0)
    assert after_attempt(endpoint, GOOD, START) is endpoint


def test_an_endpoint_is_disabled_after_a_day_of_failures_alone() -> None:
    a_day = START + timedelta(hours=24)
    assert after_attempt(failing(9), FAILED, a_day - timedelta(seconds=1)).state == "backing_off"
    assert after_attempt(failing(9), FAILED, a_day).state == "disabled"


def test_an_endpoint_backs_off_for_the_requested_pause() -> None:
    asked = after_attempt(failing(0), Outcome(status=503, retry_after=8), START)
    assert (asked.state, asked.backoff_until) == ("backing_off", START + timedelta(seconds=8))
    shorter = after_attempt(asked, Outcome(status=503, retry_after=2), START)
    assert shorter.backoff_until == asked.backoff_until, (
        "answers that come in another order do not shorten it"
    )
    longest = after_attempt(failing(0), Outcome(status=429, retry_after=1e9), START)
    assert longest.backoff_until == START + timedelta(hours=1)


def test_a_success_in_flight_does_not_end_the_requested_pause() -> None:
    pause = START + timedelta(seconds=60)
    for asking in (failing(0), failing(7)):
        asked = after_attempt(asking, Outcome(status=429, retry_after=60), START)
        good = after_attempt(asked, GOOD, START + timedelta(seconds=1))
        assert (good.state, good.backoff_until, good.failures) == ("backing_off", pause, 0)
        assert after_attempt(good, GOOD, pause) == new_endpoint("acme", "https://shop.example/hook")


def test_a_success_after_failures_does_not_end_the_requested_pause() -> None:
    asked = after_attempt(failing(0), Outcome(status=429, retry_after=60), START)
    broken = failing(6, asked)
    assert after_attempt(broken, GOOD, START).backoff_until == START + timedelta(seconds=60)


def test_an_attempt_that_was_never_sent_leaves_the_endpoint_unchanged() -> None:
    endpoint = failing(4)
    assert (
        after_attempt(endpoint, Outcome(error="stored event cannot be read", unsent=True), START) is endpoint
    )


def test_429_without_retry_after_gets_the_default_pause() -> None:
    asked = after_attempt(failing(0), Outcome(status=429), START)
    assert (asked.state, asked.backoff_until) == ("backing_off", START + timedelta(seconds=1))


def test_the_same_address_of_two_tenants_is_two_endpoints() -> None:
    assert endpoint_id("acme", "https://a.example") != endpoint_id("globex", "https://a.example")

"""When a webhook's endpoint is left alone, and when it is tried again."""

from datetime import timedelta

from services.notifier.deliveries import Outcome
from services.notifier.endpoints import Endpoint, after_try, endpoint_id, new_endpoint
from tests.fakes.jobs import START

FAILED, GOOD = Outcome(status=503, error="Service Unavailable"), Outcome(status=204)


def failing(times: int, endpoint: Endpoint | None = None) -> Endpoint:
    endpoint = endpoint or new_endpoint("acme", "https://shop.example/hook")
    for _ in range(times):
        endpoint = after_try(endpoint, FAILED, START)
    return endpoint


def test_a_few_failures_are_the_deliveries_own_matter() -> None:
    assert [failing(times).state for times in range(6)] == ["up"] * 5 + ["resting"]


def test_rests_grow_to_an_hour() -> None:
    rests = [failing(times).rests_until for times in range(5, 16)]
    seconds = [(rest - START).total_seconds() for rest in rests if rest]
    assert seconds == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_one_success_makes_it_new() -> None:
    resting = failing(7)
    assert after_try(resting, GOOD, START) == new_endpoint("acme", "https://shop.example/hook")


def test_a_success_of_an_endpoint_without_failures_needs_no_write() -> None:
    endpoint = failing(0)
    assert after_try(endpoint, GOOD, START) is endpoint


def test_after_a_day_of_nothing_but_failures_it_is_disabled() -> None:
    a_day = START + timedelta(hours=24)
    assert after_try(failing(9), FAILED, a_day - timedelta(seconds=1)).state == "resting"
    assert after_try(failing(9), FAILED, a_day).state == "disabled"


def test_a_receiver_that_asks_for_quiet_rests_as_long_as_it_says() -> None:
    asked = after_try(failing(0), Outcome(status=503, retry_after=8), START)
    assert (asked.state, asked.rests_until) == ("resting", START + timedelta(seconds=8))
    shorter = after_try(asked, Outcome(status=503, retry_after=2), START)
    assert shorter.rests_until == asked.rests_until, "answers that come in another order do not shorten it"
    longest = after_try(failing(0), Outcome(status=429, retry_after=1e9), START)
    assert longest.rests_until == START + timedelta(hours=1)


def test_a_success_that_was_on_its_way_does_not_end_the_pause_that_was_asked_for() -> None:
    pause = START + timedelta(seconds=60)
    for asking in (failing(0), failing(7)):
        asked = after_try(asking, Outcome(status=429, retry_after=60), START)
        good = after_try(asked, GOOD, START + timedelta(seconds=1))
        assert (good.state, good.rests_until, good.failures) == ("resting", pause, 0)
        assert after_try(good, GOOD, pause) == new_endpoint("acme", "https://shop.example/hook")


def test_a_failure_in_a_pause_that_was_asked_for_does_not_let_a_success_end_it() -> None:
    asked = after_try(failing(0), Outcome(status=429, retry_after=60), START)
    broken = failing(6, asked)
    assert after_try(broken, GOOD, START).rests_until == START + timedelta(seconds=60)


def test_a_try_that_was_never_sent_says_nothing_of_the_endpoint() -> None:
    endpoint = failing(4)
    assert after_try(endpoint, Outcome(error="stored event cannot be read", unsent=True), START) is endpoint


def test_429_without_a_time_is_answered_with_a_pause_of_our_own() -> None:
    asked = after_try(failing(0), Outcome(status=429), START)
    assert (asked.state, asked.rests_until) == ("resting", START + timedelta(seconds=1))


def test_the_same_address_of_two_tenants_is_two_endpoints() -> None:
    assert endpoint_id("acme", "https://a.example") != endpoint_id("globex", "https://a.example")

"""Boundaries of the rules from the command to the provider's answer."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.renders import RenderFailed
from services.gateways.kit.provider import NotAccepted, OutcomeUnknown, Rejected
from services.gateways.runtime.lifecycle.decisions import (
    Action,
    End,
    Prepare,
    RecordUnknown,
    Requeue,
    Reraise,
    Resolve,
    SaveRef,
    Send,
    Wait,
    WriteIntent,
)
from services.gateways.runtime.lifecycle.observations import (
    Due,
    EndWritten,
    IntentWritten,
    Observation,
    OwnershipLost,
    Prepared,
    UnexpectedError,
)
from services.gateways.runtime.lifecycle.submitting import LEASE_MARGIN, LEASE_RETRY
from tests.unit.gateways.lifecycle.driver import REF, START, accepted, an_attempt, decide

SHORT_LEASE, LONG_LEASE = LEASE_MARGIN, LEASE_MARGIN + 0.001
RETRY = Wait(LEASE_RETRY, LEASE_RETRY)


def kinds(*actions: Action) -> list[type[Action]]:
    return [type(action) for action in actions]


def the_end(*actions: Action) -> End:
    [end] = actions
    assert isinstance(end, End)
    return end


@pytest.mark.parametrize(
    ("deadline", "first"), [(0.0, End), (-1.0, End), (0.001, Prepare)], ids=["now", "past", "ahead"]
)
def test_an_attempt_begins_before_its_deadline_only(deadline: float, first: type[Action]) -> None:
    attempt = an_attempt(deadline_at=START + timedelta(seconds=deadline))
    assert kinds(*decide(attempt, Due()).actions) == [first]


@pytest.mark.parametrize(
    ("due", "alternatives", "expected"),
    [
        (Due(), False, [Prepare()]),
        (Due(0.5), True, [Wait(0.5, 0.5)]),
        (Due(0.5, circuit_open=True), False, [Wait(0.5, 0.5)]),
    ],
)
def test_an_attempt_waits_for_admission(due: Due, alternatives: bool, expected: list[Action]) -> None:
    assert list(decide(an_attempt(alternatives=alternatives), due).actions) == expected


def test_an_attempt_with_an_alternative_leaves_a_provider_with_an_open_circuit() -> None:
    end = the_end(*decide(an_attempt(alternatives=True), Due(5.0, True, "503")).actions)
    assert (end.state, end.billed, end.error) == ("failed", "no", "provider_unreachable: circuit open: 503")
    assert isinstance(end.message, RenderFailed)
    assert end.message.retryable


def test_a_cancelled_attempt_ends_unbilled_without_a_message_and_without_being_submitted() -> None:
    end = the_end(*decide(an_attempt(cancel=True, intent_unused=True), Due()).actions)
    assert end == End("cancelled", "no", withdraw_intent=True)


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        (Prepared(SHORT_LEASE), [RETRY]),
        (Prepared(LONG_LEASE), [WriteIntent()]),
        (IntentWritten(SHORT_LEASE), [RETRY]),
        (IntentWritten(LONG_LEASE), [Send()]),
    ],
)
def test_nothing_is_sent_within_the_margin_of_the_lease(
    observation: Observation, expected: list[Action]
) -> None:
    decision = decide(an_attempt(), observation)
    assert list(decision.actions) == expected
    assert decision.facts.state == ("submitting" if expected == [Send()] else "accepted")


@pytest.mark.parametrize(
    ("age", "expected"), [(1.999, [Send()]), (2.0, [WriteIntent()]), (60.0, [WriteIntent()])]
)
def test_an_intent_that_came_with_the_command_holds_for_two_seconds(
    age: float, expected: list[Action]
) -> None:
    attempt = an_attempt(intent_unused=True, submitting_at=START - timedelta(seconds=age))
    decision = decide(attempt, Prepared(LONG_LEASE))
    assert (list(decision.actions), decision.facts.intent_unused) == (expected, False)


def test_an_intent_is_used_for_one_submission() -> None:
    attempt = an_attempt(intent_unused=False, submitting_at=START)
    assert list(decide(attempt, Prepared(LONG_LEASE)).actions) == [WriteIntent()]


def test_an_unexpected_error_is_raised_twice_and_then_fails_the_attempt() -> None:
    error = KeyError("a bug")
    for earlier in range(2):
        decision = decide(an_attempt(unexpected_errors=earlier), UnexpectedError(error))
        assert (decision.actions, decision.facts.unexpected_errors) == ((Reraise(error),), earlier + 1)
    end = the_end(*decide(an_attempt(unexpected_errors=2), UnexpectedError(error)).actions)
    assert end.error == "internal_error: KeyError before it was sent; see the log of the gateway"


@pytest.mark.parametrize(
    ("tries", "pause", "alternatives", "ends"),
    [
        (2, 0.0, True, False),
        (3, 0.0, False, True),
        (9, 0.0, True, True),
        (0, 5.0, True, False),
        (0, 5.001, True, True),
        (0, 3600.0, False, False),
    ],
)
def test_a_busy_provider_is_tried_again_unless_tries_or_patience_end(
    tries: int, pause: float, alternatives: bool, ends: bool
) -> None:
    attempt = an_attempt("submitting", submit_tries=tries, alternatives=alternatives)
    busy = NotAccepted("provider_busy", "429", after_seconds=pause)
    decision = decide(attempt, busy, max_submit_tries=4, max_retry_after=5.0)
    assert kinds(*decision.actions) == ([End] if ends else [Requeue, Wait])
    assert (decision.facts.state, decision.facts.submit_tries) == ("accepted", tries + 1)


def test_a_pause_after_a_refusal_ends_soon_after_the_deadline() -> None:
    attempt = an_attempt("submitting", deadline_at=START + timedelta(seconds=3))
    *_, wait = decide(attempt, NotAccepted("provider_busy", "429", after_seconds=60.0)).actions
    assert wait == Wait(3.1, 3.1)


@pytest.mark.parametrize("unused", [True, False])
def test_a_refusal_takes_back_an_intent_after_which_nothing_was_sent(unused: bool) -> None:
    decision = decide(an_attempt(intent_unused=unused), NotAccepted("provider_unreachable", "no upload"))
    assert decision.actions[0] == Requeue(withdraw_intent=unused)
    assert not decision.facts.intent_unused


def test_a_rejection_ends_the_attempt_unbilled() -> None:
    end = the_end(*decide(an_attempt("submitting"), Rejected("invalid_request", "422")).actions)
    assert (end.state, end.billed, end.error, end.next_check_at) == (
        "failed",
        "no",
        "invalid_request: 422",
        None,
    )


def test_an_unknown_outcome_is_recorded_and_then_resolved() -> None:
    attempt = an_attempt("submitting")
    decision = decide(attempt, OutcomeUnknown("reset"))
    assert (decision.facts.state, decision.actions[0]) == ("unknown", RecordUnknown())
    attempt.facts = decision.facts
    assert decide(attempt, Due()).actions == (Resolve(),)


@pytest.mark.parametrize(
    ("provider", "expected"), [("fal", [SaveRef(), Wait(0.25, 0.25)]), ("modal", [Wait(0.25, 0.25)])]
)
def test_a_ref_is_saved_at_once_unless_a_lookup_returns_it(provider: Any, expected: list[Action]) -> None:
    decision = decide(an_attempt("submitting"), accepted(provider), first_poll_interval=0.25)
    assert list(decision.actions) == expected
    facts = decision.facts
    assert (facts.state, facts.ref, facts.poll_interval) == ("submitted", REF, 0.25)


@pytest.mark.parametrize("observation", [OwnershipLost(), EndWritten("failed")])
def test_an_attempt_is_released_when_it_has_ended_or_has_another_owner(observation: Observation) -> None:
    decision = decide(an_attempt("submitted", ref=REF), observation)
    assert [type(each).__name__ for each in decision.actions] == ["Release"]


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_an_ended_attempt_is_released_when_it_is_due(state: Any) -> None:
    assert [type(each).__name__ for each in decide(an_attempt(state), Due()).actions] == ["Release"]

"""Providers after a failure, and the cost of all attempts, by the shipped policies."""

from typing import Any

import pytest

from contracts.base import Provider
from contracts.jobs import Attempt, Job, JobError, Render
from services.dispatcher.policies import load_policies
from tests.fakes.builders import JOB, START, a_plan, a_spec, due, failed, stored
from tests.fakes.builders import after as seconds_after
from tests.unit.dispatcher.job_harness import JobHarness

POLICIES = load_policies()
ROUTE: tuple[Provider, ...] = ("modal", "comfyui", "fal")
NONE_DOWN: frozenset[Provider] = frozenset()


def tried(*failures: tuple[Provider, str, bool]) -> list[Attempt]:
    return [
        Attempt(
            n=n,
            provider=provider,
            requested_at=START,
            outcome="failed",
            error=JobError(code=code, message=code),
            retryable=retryable,
        )
        for n, (provider, code, retryable) in enumerate(failures, start=1)
    ]


def after(*failures: tuple[Provider, str, bool], down: frozenset[Provider] = NONE_DOWN) -> str | None:
    return POLICIES.retries.next_provider(ROUTE, tried(*failures), down)


def test_a_transient_failure_is_retried_once_and_then_at_the_next_provider() -> None:
    assert after(("modal", "provider_error", True)) == "modal"
    assert after(("modal", "provider_error", True), ("modal", "provider_error", True)) == "comfyui"


@pytest.mark.parametrize(
    "code", ["provider_unreachable", "provider_busy", "provider_unauthorized", "lost", "invalid_request"]
)
def test_a_failure_of_one_provider_only_is_retried_elsewhere_at_once(code: str) -> None:
    assert after(("modal", code, code != "invalid_request")) == "comfyui"


@pytest.mark.parametrize("code", ["nsfw", "input_not_found", "deadline_exceeded"])
def test_a_failure_that_no_provider_would_avoid_fails_the_image(code: str) -> None:
    assert after(("modal", code, True)) is None


@pytest.mark.parametrize("code", ["outcome_unknown", "lost"])
def test_an_unknown_outcome_is_tried_elsewhere_only_where_paying_twice_may_be_risked(code: str) -> None:
    assert after(("fal", code, True)) is not None
    assert after(("fal", code, False)) is None


@pytest.mark.parametrize("workflow", [None, {"3": {}}])
def test_a_callers_workflow_that_failed_permanently_is_not_tried_elsewhere(
    workflow: dict[str, Any] | None,
) -> None:
    harness = JobHarness(a_plan(workflow=workflow), failed(code="execution_failed", retryable=False))
    harness.at(2).receive(due(seconds_after(2)))
    assert harness.job.renders[0].state == ("failed" if workflow else "queued")
    assert harness.commands() == ([] if workflow else [f"{JOB}/0/2"])


def test_a_permanent_failure_at_the_only_provider_fails_the_image() -> None:
    attempts = tried(("fal", "invalid_request", False))
    assert POLICIES.retries.next_provider(("fal",), attempts, NONE_DOWN) is None


def test_a_provider_with_an_open_circuit_is_avoided() -> None:
    assert POLICIES.retries.next_provider(ROUTE, [], frozenset({"modal"})) == "comfyui"
    assert after(("modal", "provider_error", True), down=frozenset({"modal", "comfyui"})) == "fal"


def test_when_all_circuits_are_open_the_first_one_waits_for_it() -> None:
    assert POLICIES.retries.next_provider(ROUTE, [], frozenset(ROUTE)) == "modal"


def test_the_number_of_attempts_is_bounded() -> None:
    failure: tuple[Provider, str, bool] = ("modal", "provider_error", True)
    assert after(failure, failure, failure, failure) is None


def test_the_terminal_event_sums_what_all_attempts_cost() -> None:
    harness = JobHarness(a_plan(images=1), stored())
    cost = harness.outputs[-1].model_dump()["cost"]
    assert cost["attempts"] == 1
    assert harness.job.cost == harness.event("completed").cost


def test_costs_are_as_billed_else_from_the_price_list_and_unknown_ones_are_counted_separately() -> None:
    billed = Attempt(n=1, provider="fal", requested_at=START, outcome="succeeded", billed="yes", cost_usd=0.5)
    listed = Attempt(n=1, provider="modal", requested_at=START, outcome="failed", billed="yes")
    unknown = Attempt(n=2, provider="fal", requested_at=START, outcome="failed", billed="unknown")
    free = Attempt(n=3, provider="fal", requested_at=START, outcome="failed", billed="no")
    harness = JobHarness(a_plan(images=2))
    renders = (
        Render(spec=a_spec(0), attempts=(billed,)),
        Render(spec=a_spec(1), attempts=(listed, unknown, free)),
    )
    job: Job = harness.job.model_copy(update={"renders": renders})
    cost = POLICIES.cost_of(job)
    assert (cost.attempts, cost.unknown, cost.estimated) == (4, 1, True)
    assert cost.usd == 0.5 + POLICIES.prices_usd["modal"]["text_to_image"]


def test_every_provider_has_a_price_for_everything_that_it_can_do() -> None:
    for provider, needs in POLICIES.capabilities.items():
        assert needs <= set(POLICIES.prices_usd[provider]), provider


def test_a_render_that_went_elsewhere_names_both_providers() -> None:
    harness = JobHarness(a_plan()).receive(failed(code="provider_unreachable"))
    assert harness.job.renders[0].attempts[0].error is not None

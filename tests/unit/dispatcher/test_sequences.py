"""Sequences of attempts: the providers that a failure code leads to until the image fails."""

from collections.abc import Sequence

import pytest

from contracts.base import Provider
from contracts.jobs import Attempt, JobError
from services.dispatcher.policies import load_policies
from tests.fakes.builders import START

POLICIES = load_policies()
ALL: tuple[Provider, ...] = ("modal", "comfyui", "fal")
WORKFLOW: tuple[Provider, ...] = ("modal", "comfyui")
TRAINING: tuple[Provider, ...] = ("fal", "modal")


def sequence(
    route: Sequence[Provider],
    code: str,
    *,
    retryable: bool = False,
    workflow: bool = False,
    down: frozenset[Provider] = frozenset(),
) -> list[Provider]:
    """Return the providers used when every attempt fails in the same way."""
    attempts: list[Attempt] = []
    while provider := POLICIES.retries.next_provider(route, attempts, down, workflow=workflow):
        attempts.append(failure(provider, code, retryable, len(attempts) + 1))
    return [attempt.provider for attempt in attempts]


def failure(provider: Provider, code: str, retryable: bool, n: int = 1) -> Attempt:
    error = JobError(code=code, message=code)
    return Attempt(
        n=n, provider=provider, requested_at=START, outcome="failed", error=error, retryable=retryable
    )


@pytest.mark.parametrize("route", [ALL, WORKFLOW, TRAINING, ("modal",)])
@pytest.mark.parametrize("code", sorted(POLICIES.retries.failures))
@pytest.mark.parametrize("workflow", [False, True])
def test_a_provider_that_fails_permanently_is_used_once(
    route: tuple[Provider, ...], code: str, workflow: bool
) -> None:
    asked = sequence(route, code, workflow=workflow)
    assert len(asked) == len(set(asked))
    assert tuple(asked) == route[: len(asked)]


@pytest.mark.parametrize("code", ["wrong_size", "image_unsupported", "no_output", "invalid_input"])
def test_every_provider_of_the_route_is_tried(code: str) -> None:
    assert sequence(ALL, code) == ["modal", "comfyui", "fal"]


def test_a_workflow_whose_node_fails_is_submitted_once() -> None:
    assert sequence(WORKFLOW, "provider_error", workflow=True) == ["modal"]


def test_a_workflow_that_one_server_rejects_is_tried_at_the_other_once() -> None:
    assert sequence(WORKFLOW, "invalid_workflow", workflow=True) == ["modal", "comfyui"]


@pytest.mark.parametrize("code", ["pickled_weights", "bad_weights", "weights_too_large"])
def test_a_training_with_unusable_weights_is_submitted_once_at_each_provider(code: str) -> None:
    assert sequence(TRAINING, code) == ["fal", "modal"]


def test_retryable_failures_use_up_all_attempts() -> None:
    assert sequence(ALL, "provider_error", retryable=True) == ["modal", "modal", "comfyui", "comfyui"]
    assert sequence(ALL, "provider_busy", retryable=True) == ["modal", "comfyui", "fal", "modal"]
    assert sequence(("modal",), "provider_busy", retryable=True) == 4 * ["modal"]


def test_a_provider_whose_circuit_is_open_comes_last() -> None:
    down = frozenset[Provider]({"comfyui"})
    assert sequence(ALL, "provider_busy", retryable=True, down=down) == ["modal", "fal", "modal", "fal"]
    assert sequence(ALL, "invalid_input", down=down) == ["modal", "fal", "comfyui"]


def test_a_provider_that_rejected_a_render_is_not_used_for_it_again() -> None:
    tried = [failure("modal", "invalid_input", retryable=False), failure("comfyui", "internal_error", True)]
    assert POLICIES.retries.next_provider(WORKFLOW, tried, frozenset()) == "comfyui"
    assert POLICIES.retries.next_provider(ALL, tried, frozenset()) == "fal"

"""Each failure code has one rule: the same provider again, another one, or nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import services.gateways
import services.result_store
from contracts.base import Provider
from contracts.jobs import Attempt, JobError
from services.dispatcher.policies import load_policies
from tests.fakes.builders import START, a_plan, due, failed
from tests.unit.dispatcher.job_harness import JobHarness
from tests.unit.workflow_graphs import drawing

POLICIES = load_policies()
ROUTE: tuple[Provider, ...] = ("comfyui", "modal")
ONLY: tuple[Provider, ...] = ("comfyui",)
SAYING = {"Failed": 0, "Rejected": 0, "NotAccepted": 0}
"""Constructors that take a failure's code, with the position of that argument."""
UNNAMED = {"handler_failed"}
"""Reasons of dead letters. No attempt fails with them."""


def after(code: str, route: tuple[Provider, ...], *, retryable: bool, workflow: bool) -> Provider | None:
    attempt = Attempt(
        n=1,
        provider="comfyui",
        requested_at=START,
        outcome="failed",
        error=JobError(code=code, message=code),
        retryable=retryable,
    )
    return POLICIES.retries.next_provider(route, [attempt], frozenset(), workflow=workflow)


BY_RULE = {
    # rule: retryable, at once elsewhere; workflow's; at the only provider; not retryable; workflow's
    "again": ("comfyui", "comfyui", "comfyui", "modal", None),
    "elsewhere": ("modal", "modal", "comfyui", "modal", "modal"),
    "unsure": ("modal", "modal", "comfyui", None, None),
    "other_model": ("modal", None, None, "modal", None),
    "never": (None, None, None, None, None),
}


@pytest.mark.parametrize(("code", "rule"), sorted(POLICIES.retries.failures.items()))
def test_every_failure_code_is_tried_again_as_its_rule_says(code: str, rule: str) -> None:
    assert (
        after(code, ROUTE, retryable=True, workflow=False),
        after(code, ROUTE, retryable=True, workflow=True),
        after(code, ONLY, retryable=True, workflow=False),
        after(code, ROUTE, retryable=False, workflow=False),
        after(code, ROUTE, retryable=False, workflow=True),
    ) == BY_RULE[rule]


def test_every_failure_code_in_the_code_has_a_rule() -> None:
    packages = (services.gateways, services.result_store)
    files = [path for package in packages for path in Path(package.__path__[0]).rglob("*.py")]
    said = {code for path in files for code in _codes(ast.parse(path.read_text()))}
    assert {"lost", "no_output", "not_an_image", "outcome_unknown"} <= said, "the search finds codes"
    assert said - UNNAMED <= POLICIES.retries.failures.keys()


def _codes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYING:
            first = node.args[SAYING[node.func.id]] if node.args else None
            if isinstance(first, ast.Constant):
                yield str(first.value)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            yield from [str(node.value.value)] if names == ["reason"] else []


@pytest.mark.parametrize(
    "code", ["not_an_image", "image_unsupported", "image_too_large", "wrong_size", "no_output"]
)
def test_a_workflow_with_an_output_of_the_wrong_kind_is_submitted_once(code: str) -> None:
    harness = JobHarness(a_plan(workflow=drawing()), policies=POLICIES)
    harness.receive(failed(code=code, retryable=True, billed="yes"))
    assert harness.job.status == "failed"
    assert len(harness.job.renders[0].attempts) == 1
    assert harness.job.cost is not None
    assert harness.job.cost.usd == POLICIES.prices_usd["modal"]["workflow"]


def test_a_damaged_image_of_a_workflow_is_rendered_again() -> None:
    harness = JobHarness(a_plan(workflow=drawing()), policies=POLICIES)
    harness.receive(failed(code="image_corrupt", retryable=True, billed="yes"))
    retry_at = harness.job.wake_at
    assert retry_at is not None
    harness.now = retry_at
    assert len(harness.receive(due(retry_at)).commands()) == 1

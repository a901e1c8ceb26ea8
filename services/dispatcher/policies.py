"""policies.yaml → typed policies: the promises of each type, routes, retries and prices."""

import math
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import Field

from contracts.base import GenerationType, Model, Provider
from contracts.characters import Lora
from contracts.generation import RenderSpec
from contracts.jobs import Attempt, Cost, Job
from contracts.requests import SHEET_MIN_COMPLETED_RATIO

Need = Literal["text_to_image", "reference", "face_swap", "lora", "workflow", "lora_training"]
NextTry = Literal["again", "elsewhere", "unsure", "other_model", "never"]
"""Attempts that may follow a failure.

again        the same provider, while the failure is retryable; then another one. Nothing for a
             caller's workflow whose failure is not retryable: it runs the same nodes anywhere
elsewhere    another provider of the route at once: the failure is this provider's own
unsure       as `elsewhere`, but nothing where the failure is not retryable: it may have been paid for
other_model  as `elsewhere`, but nothing for a caller's workflow: its output is of the same kind anywhere
never        nothing: no other attempt would do better

A provider with a failure that is not retryable is not asked again for the same render.
"""


ABILITIES: dict[Need, str] = {
    "text_to_image": "draw an image from text",
    "reference": "draw with a reference image",
    "face_swap": "swap a face",
    "lora": "use a LoRA",
    "workflow": "run a caller's workflow",
    "lora_training": "train a LoRA",
}
"""The ability of a provider with each capability, in the words of error messages."""


class TypePolicy(Model):
    """The promises of one request type."""

    target_seconds: float = Field(gt=0)
    deadline_seconds: float = Field(gt=0)
    min_completed_ratio: float = Field(gt=0, le=1)
    priority: int = Field(ge=0, le=9)
    providers: tuple[Provider, ...]

    def min_images(self, requested: int) -> int:
        """Return the smallest number of images that completes a job."""
        return max(1, math.ceil(self.min_completed_ratio * requested))


class Retries(Model):
    """Pauses between the attempts of one render; their number is the number of retries."""

    pauses_seconds: tuple[float, ...]
    tries_at_one_provider: int = Field(ge=1)
    failures: dict[str, NextTry]
    """By failure code; `again` for a code that is not listed."""

    def next_provider(
        self,
        route: Sequence[Provider],
        attempts: Sequence[Attempt],
        down: frozenset[Provider],
        *,
        workflow: bool = False,
    ) -> Provider | None:
        """Return the provider of the next attempt, or None when the render has failed for good.

        A provider with an open circuit (`down`) is avoided while another one is able. `workflow` tells
        whether the request brings its own workflow.
        """
        if not attempts:
            return next((name for name in route if name not in down), route[0] if route else None)
        last = attempts[-1]
        after = self.failures.get(last.error.code, "again") if last.error else "again"
        if len(attempts) > len(self.pauses_seconds) or _is_final(after, last, workflow=workflow):
            return None
        tries = Counter(attempt.provider for attempt in attempts)
        stays = last.retryable and after == "again"
        if stays and last.provider not in down and tries[last.provider] < self.tries_at_one_provider:
            return last.provider
        refused = {attempt.provider for attempt in attempts if attempt.error and not attempt.retryable}
        others = [
            name
            for name in route
            if name not in refused | {last.provider} and tries[name] < self.tries_at_one_provider
        ]
        if others:
            return min(others, key=lambda name: (name in down, tries[name]))
        return last.provider if last.provider not in refused and after != "other_model" else None


def _is_final(after: NextTry, last: Attempt, *, workflow: bool) -> bool:
    match after:
        case "never":
            return True
        case "unsure":
            return not last.retryable
        case "other_model":
            return workflow
        case "again":
            return workflow and not last.retryable
    return False


class Policies(Model):
    """All policies of the dispatcher."""

    look_for_lora_seconds: float = Field(gt=0)
    """Seconds between checks for an awaited LoRA, in case its announcement was missed."""
    confirm_lora_failure_seconds: float = Field(ge=0)
    """Age of a training's failure from which it ends the jobs that wait for the LoRA."""
    wait_for_character_seconds: float = Field(gt=0)
    """Longest wait for a character that is not stored; then the job is rejected."""
    look_for_character_seconds: float = Field(gt=0)
    """Shortest pause between two checks for it; pauses grow with the wait."""
    types: dict[GenerationType, TypePolicy]
    capabilities: dict[Provider, frozenset[Need]]
    preferred: dict[Need, tuple[Provider, ...]] = Field(default_factory=dict)
    model_prefixes: dict[str, Provider] = Field(default_factory=dict)
    retries: Retries
    prices_usd: dict[Provider, dict[Need, float]] = Field(default_factory=dict)

    def route(
        self,
        kind: GenerationType,
        spec: RenderSpec,
        *,
        provider: Provider | None,
        model: str | None,
        workflow: bool,
    ) -> tuple[Provider, ...]:
        """Return the providers that can draw a render, best first. The provider that a request names wins."""
        need = need_of(spec, workflow=workflow)
        asked = provider or self._owner_of(model)
        order = (asked,) if asked else self.preferred.get(need, self.types[kind].providers)
        return self._able(order, need, spec.lora)

    def no_route_reason(
        self, spec: RenderSpec, *, provider: Provider | None, model: str | None, workflow: bool
    ) -> str:
        """Explain why a render has no route: the render, the provider asked for, and what it cannot do."""
        need = need_of(spec, workflow=workflow)
        asked = provider or self._owner_of(model)
        work = ABILITIES[need]
        if asked is None:
            bound = f"; the LoRA's weights work only at {_listed(spec.lora.providers)}" if spec.lora else ""
            return f"'{spec.label}': no provider is able to {work}{bound}"
        able = need in self.capabilities.get(asked, frozenset())
        by = f"the request names provider '{asked}'" if provider else f"model '{model}' runs only at {asked}"
        why = "where the weights of its LoRA do not work" if able else f"which cannot {work}"
        others = self._able(tuple(self.capabilities), need, spec.lora)
        return f"'{spec.label}': {by}, {why}; providers that can: {_listed(others)}"

    def _owner_of(self, model: str | None) -> Provider | None:
        """Return the only provider that runs a model, or None when any may."""
        owners = (owner for prefix, owner in self.model_prefixes.items() if (model or "").startswith(prefix))
        return next(owners, None)

    def _able(self, order: Sequence[Provider], need: Need, lora: Lora | None) -> tuple[Provider, ...]:
        able = (name for name in order if need in self.capabilities.get(name, frozenset()))
        return tuple(name for name in able if lora is None or name in lora.providers)

    def cost_of(self, job: Job) -> Cost:
        """Sum up the attempts of a job that have ended: as billed, else by the price list."""
        usd, estimated, unknown, count = 0.0, False, 0, 0
        for render in job.renders:
            need = need_of(render.spec, workflow=job.workflow is not None)
            for attempt in render.attempts:
                if attempt.outcome == "open":
                    continue
                count += 1
                unknown += attempt.billed == "unknown" or attempt.billed is None
                if attempt.billed != "yes":
                    continue
                price = attempt.cost_usd
                if price is None:
                    price, estimated = self.prices_usd.get(attempt.provider, {}).get(need, 0.0), True
                usd += price
        return Cost(attempts=count, usd=round(usd, 6), estimated=estimated or unknown > 0, unknown=unknown)


def need_of(spec: RenderSpec, *, workflow: bool) -> Need:
    """Return the capability that decides which providers can draw a render."""
    if spec.kind == "lora_training":
        return "lora_training"
    if workflow:
        return "workflow"
    if spec.lora:
        return "lora"
    if spec.face:
        return "face_swap"
    return "reference" if spec.reference else "text_to_image"


def _listed(providers: Sequence[Provider]) -> str:
    return ", ".join(providers) or "none"


def load_policies() -> Policies:
    """Return the policies that ship with the service."""
    policies = yaml.safe_load(files("services.dispatcher").joinpath("policies.yaml").read_text())
    policies["types"]["character_sheet"]["min_completed_ratio"] = SHEET_MIN_COMPLETED_RATIO
    return Policies.model_validate(policies)

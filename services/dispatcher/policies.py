"""policies.yaml → typed policies: what each type promises, and which provider does it."""

import math
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import Field

from contracts.base import GenerationType, Model, Provider
from contracts.generation import RenderSpec

Need = Literal["text_to_image", "reference", "face_swap", "lora", "workflow", "lora_training"]


class TypePolicy(Model):
    """The promises of one request type."""

    target_seconds: float = Field(gt=0)
    deadline_seconds: float = Field(gt=0)
    completed_from: float = Field(gt=0, le=1)
    priority: int = Field(ge=0, le=9)
    providers: tuple[Provider, ...]

    def minimum(self, requested: int) -> int:
        """The least number of images that counts as completed."""
        return max(1, math.ceil(self.completed_from * requested))


class Retries(Model):
    """Pauses between the attempts of one render; their number is the number of retries."""

    pauses_seconds: tuple[float, ...]


class Policies(Model):
    """All policies."""

    types: dict[GenerationType, TypePolicy]
    capabilities: dict[Provider, frozenset[Need]]
    preferred: dict[Need, tuple[Provider, ...]] = Field(default_factory=dict)
    model_prefixes: dict[str, Provider] = Field(default_factory=dict)
    retries: Retries

    def route(
        self,
        kind: GenerationType,
        spec: RenderSpec,
        *,
        provider: Provider | None,
        model: str | None,
        workflow: bool,
    ) -> tuple[Provider, ...]:
        """The providers that can do this render, best first. What the request names wins."""
        need = need_of(spec, workflow=workflow)
        asked = provider or next(
            (owner for prefix, owner in self.model_prefixes.items() if (model or "").startswith(prefix)),
            None,
        )
        order = (asked,) if asked else self.preferred.get(need, self.types[kind].providers)
        return tuple(name for name in order if need in self.capabilities.get(name, frozenset()))


def need_of(spec: RenderSpec, *, workflow: bool) -> Need:
    """The one capability that decides who can do a render."""
    if spec.kind == "lora_training":
        return "lora_training"
    if workflow:
        return "workflow"
    if spec.lora:
        return "lora"
    if spec.face:
        return "face_swap"
    return "reference" if spec.reference else "text_to_image"


def load_policies() -> Policies:
    """The policies that ship with the service."""
    text = files("services.dispatcher").joinpath("policies.yaml").read_text()
    return Policies.model_validate(yaml.safe_load(text))

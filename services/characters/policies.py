"""policies.yaml → typed policies: selections, sheets, trainings, and the providers of LoRAs."""

import math
from datetime import timedelta
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import Field

from contracts.base import Model, Provider
from contracts.characters import Lora
from contracts.renders import StoredLora
from contracts.requests import SHEET_MIN_COMPLETED_RATIO


class SheetPolicy(Model):
    """Completeness of a sheet, by the images of all of its tries."""

    min_completed_ratio: float = Field(default=SHEET_MIN_COMPLETED_RATIO, gt=0, le=1)

    def min_images(self, wanted: int) -> int:
        """Return the smallest number of images that completes a sheet."""
        return max(1, math.ceil(self.min_completed_ratio * wanted))


class SelectionPolicy(Model):
    """Waits of a selection whose base image is not ready."""

    unknown_job_seconds: float = Field(gt=0)
    """Longest wait for a job that nobody accepted yet."""
    known_job_seconds: float = Field(gt=0)
    """Longest wait for an image of a job that is known or was accepted by the api."""
    min_check_seconds: float = Field(gt=0)
    max_check_seconds: float = Field(gt=0)
    """Shortest and longest pause between two checks."""

    def limit(self, *, job_is_known: bool) -> timedelta:
        """Return the longest wait."""
        return timedelta(seconds=self.known_job_seconds if job_is_known else self.unknown_job_seconds)


class TrainingPolicy(Model):
    """Images and steps of a training, and when one starts without a request."""

    least_images: int = Field(ge=4)
    most_images: int = Field(ge=4, le=50)
    steps: int | None = Field(default=None, ge=1)
    after_sheets_outside_chains: Literal["never", "first", "always"]


class Policies(Model):
    """All policies of the characters service."""

    selection: SelectionPolicy
    sheet: SheetPolicy = SheetPolicy()
    training: TrainingPolicy
    lora_providers: dict[str, tuple[Provider, ...]]

    def lora_of(self, stored: StoredLora) -> Lora:
        """Return the description of a trained LoRA for requests."""
        families = (family for family in self.lora_providers if family in stored.base_model.lower())
        family = next(families, None)
        return Lora(
            key=stored.key,
            trigger_word=stored.trigger_word,
            base_model=stored.base_model,
            providers=self.lora_providers[family] if family else (stored.provider,),
        )


def load_policies() -> Policies:
    """Return the policies that ship with the service."""
    text = files("services.characters").joinpath("policies.yaml").read_text()
    return Policies.model_validate(yaml.safe_load(text))

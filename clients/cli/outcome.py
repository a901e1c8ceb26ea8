"""Words for what a job has delivered and how long it took, for lists, bars and the contact sheet."""

from contracts.base import GenerationType
from contracts.jobs import Phase

WAITS: dict[Phase | None, str] = {"waiting_for_lora": "LoRA", "waiting_for_character": "character"}
"""Phases whose time does not count, and what is waited for in them."""


def delivered_text(kind: GenerationType, delivered: int, requested: int, *, ended: bool) -> str:
    """Return how much of its result a job has: "2 of 3 images", or whether there is a LoRA."""
    if kind == "lora_training":
        if delivered:
            return "LoRA ready"
        return "no LoRA" if ended else "LoRA in training"
    noun = "image" if requested == 1 else "images"
    return f"{delivered} of {requested or '?'} {noun}"


def time_text(seconds: float, waited: float, target: float | None, phase: Phase | None) -> str:
    """Return the time that counts towards the target, the target, and the wait before it."""
    if phase in WAITS:
        return f"waits for its {WAITS[phase]} since {seconds:.1f} s"
    own = f"{max(0.0, seconds - waited):.1f}" + (f" of {target:g} s" if target else " s")
    return own + (f", after a wait of {waited:.1f} s" if waited else "")

"""Wording of results and times, shared by lists, progress bars and the contact sheet."""

from contracts.base import GenerationType
from contracts.jobs import Phase

WAITING_PHASES: dict[Phase | None, str] = {
    "waiting_for_lora": "LoRA",
    "waiting_for_character": "character",
}
"""Phases in which time does not count towards the target, with the missing resource."""

TYPE_NAMES: dict[GenerationType, str] = {
    "base_image": "base image",
    "character_sheet": "character sheet",
    "studio": "studio",
    "profile_pictures": "profile pictures",
    "lora_training": "LoRA training",
}

COLOURS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "pending": "dim",
    "done": "green",
    "storing": "blue",
    "queued": "yellow",
    "waiting": "dim",
}
"""Terminal colours of the states of jobs, images and chains."""


def delivered_text(kind: GenerationType, delivered: int, requested: int, *, ended: bool) -> str:
    """Return the delivered part of a job, such as "2 of 3 images" or "LoRA ready"."""
    if kind == "lora_training":
        if delivered:
            return "LoRA ready"
        return "no LoRA" if ended else "LoRA in training"
    noun = "image" if requested == 1 else "images"
    return f"{delivered} of {requested or '?'} {noun}"


def time_text(seconds: float, waited: float, target: float | None, phase: Phase | None) -> str:
    """Return the time that counts towards the target, the target, and the preceding wait."""
    if phase in WAITING_PHASES:
        return f"waiting for its {WAITING_PHASES[phase]} for {seconds:.1f} s"
    counted = f"{max(0.0, seconds - waited):.1f}" + (f" of {target:g} s" if target else " s")
    return counted + (f", after waiting {waited:.1f} s" if waited else "")

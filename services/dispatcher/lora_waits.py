"""The rules of a job that waits for its character's LoRA: it checks at intervals and when called. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.characters import Lora
from contracts.generation import RenderSpec
from contracts.jobs import Job
from services.dispatcher.changes import with_render, with_spec
from services.dispatcher.events import elapsed
from services.dispatcher.rendering import start_due_attempts
from services.dispatcher.transition import JobTransition


@dataclass(frozen=True, slots=True)
class CharacterState:
    """State of a character's LoRA and of its face, as its record shows."""

    lora: Lora | None = None
    failure: str | None = None
    """Reason of the last failed training. None while a training runs or is still ahead in a chain."""
    failed_at: datetime | None = None
    choices: frozenset[str] = frozenset()
    """Chains of the base image selections that the record shows."""
    is_stored: bool = True
    """False while the character is to be stored by the selection of a base image that is not ready."""

    def ends(self, job: Job) -> bool:
        """Return whether a failed training ends a job: one that failed before the request does not."""
        return self.failed_at is not None and self.failed_at >= job.requested_at


CharacterRef = tuple[str, str]
"""Tenant and id of a character: ids are unique per tenant."""

CharacterStates = Mapping[CharacterRef, CharacterState]
"""By character, without those that were not read or do not exist."""


def is_waiting(job: Job) -> bool:
    """Return whether the job must not be rendered before the LoRA is ready."""
    return job.phase == "waiting_for_lora"


def begin_wait(step: JobTransition) -> None:
    """Start the wait, which may last as long as a training.

    The timers cause the first check, after the document is written: a LoRA that was announced before
    the job could be found is seen then.
    """
    patience = timedelta(seconds=step.policies.types["lora_training"].deadline_seconds)
    step.set(
        phase="waiting_for_lora",
        deadline_at=step.job.requested_at + patience,
        wake_at=step.now,
    )


def check_lora(step: JobTransition, characters: CharacterStates) -> None:
    """Render if the LoRA is ready, fail if none will come, otherwise check later."""
    job = step.job
    known = characters.get((job.tenant, job.character_id or ""))
    if step.now >= job.deadline_at:
        waited = (job.deadline_at - job.requested_at).total_seconds()
        step.fail("deadline_exceeded", f"it waited {waited:g} s for the character's LoRA, which is not ready")
    elif known is None:
        _check_later(step)
    elif known.lora:
        _start(step, known.lora)
    elif known.failed_at and step.now < known.failed_at + _confirmation(step):
        step.set(wake_at=min(known.failed_at + _confirmation(step), job.deadline_at))
    elif known.ends(job):
        step.fail("lora_failed", f"the training of the character's LoRA failed: {known.failure}"[:1000])
    else:
        _check_later(step)


def _confirmation(step: JobTransition) -> timedelta:
    return timedelta(seconds=step.policies.confirm_lora_failure_seconds)


def _check_later(step: JobTransition) -> None:
    pause = timedelta(seconds=step.policies.look_for_lora_seconds)
    step.set(wake_at=min(step.now + pause, step.job.deadline_at))


def _spec_with_lora(spec: RenderSpec, lora: Lora, planned: str | None) -> RenderSpec:
    """Return a specification that uses the LoRA, with the LoRA's trigger word at the start of its texts."""

    def worded(text: str) -> str:
        if planned and text.startswith(planned):
            return lora.trigger_word + text.removeprefix(planned)
        return text

    return with_spec(spec, lora=lora, prompt=worded(spec.prompt), tag_prompt=worded(spec.tag_prompt))


def _start(step: JobTransition, lora: Lora) -> None:
    """Start the job with the LoRA. The target and deadline of its type count from now."""
    own = timedelta(seconds=step.policies.types[step.job.type].deadline_seconds)
    planned = step.job.character.trigger_word if step.job.character else None
    renders = tuple(
        with_render(render, spec=_spec_with_lora(render.spec, lora, planned)) for render in step.job.renders
    )
    step.set(
        phase="queued",
        deadline_at=step.now + own,
        waited_seconds=elapsed(step.job, step.now),
        renders=renders,
    )
    start_due_attempts(step)

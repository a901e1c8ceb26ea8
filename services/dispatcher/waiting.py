"""The rules of a job that waits for its character's LoRA: it looks now and then, and when it is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.characters import Lora
from contracts.generation import RenderSpec
from contracts.jobs import Job
from services.dispatcher.events import elapsed
from services.dispatcher.rendering import start_due_attempts
from services.dispatcher.transition import JobTransition


@dataclass(frozen=True, slots=True)
class KnownLora:
    """State of a character's LoRA and of the choice of its face, as its record says."""

    lora: Lora | None = None
    failure: str | None = None
    """Reason of the last failed training. None while a training runs or is still ahead in a chain."""
    failed_at: datetime | None = None
    choices: frozenset[str] = frozenset()
    """The choices of the character's face that its record shows, by their chains."""
    is_stored: bool = True
    """False while the character is to be stored by the selection of a base image that is not ready."""

    def ends(self, job: Job) -> bool:
        """Whether a training failed that the job may have waited for: none that was over before it."""
        return self.failed_at is not None and self.failed_at >= job.requested_at


CharacterRef = tuple[str, str]
"""A character's owner and id: ids are unique per tenant."""

KnownLoras = Mapping[CharacterRef, KnownLora]
"""By character; one that is not in it was not looked at, or does not exist."""


def is_waiting(job: Job) -> bool:
    """Whether nothing of it may be rendered before the LoRA is there."""
    return job.phase == "waiting_for_lora"


def begin_wait(step: JobTransition) -> None:
    """Wait as long as a training may take.

    The first look is not taken here but when the timers call, which is after this was written: a
    LoRA that was announced before, to a job that could not be found yet, is seen by then.
    """
    patience = timedelta(seconds=step.policies.types["lora_training"].deadline_seconds)
    step.set(
        phase="waiting_for_lora",
        deadline_at=step.job.requested_at + patience,
        wake_at=step.now,
    )


def check_lora(step: JobTransition, loras: KnownLoras) -> None:
    """Begin when the LoRA is ready, end when none will come, else look again later."""
    job = step.job
    known = loras.get((job.tenant, job.character_id or ""))
    if step.now >= job.deadline_at:
        waited = (job.deadline_at - job.requested_at).total_seconds()
        step.fail("deadline_exceeded", f"it waited {waited:g} s for the character's LoRA, which is not ready")
    elif known is None:
        _look_later(step)
    elif known.lora:
        _wake(step, known.lora)
    elif known.failed_at and step.now < known.failed_at + _confirmation(step):
        step.set(wake_at=min(known.failed_at + _confirmation(step), job.deadline_at))
    elif known.ends(job):
        step.fail("lora_failed", f"the training of the character's LoRA failed: {known.failure}"[:1000])
    else:
        _look_later(step)


def _confirmation(step: JobTransition) -> timedelta:
    return timedelta(seconds=step.policies.confirm_lora_failure_seconds)


def _look_later(step: JobTransition) -> None:
    pause = timedelta(seconds=step.policies.look_for_lora_seconds)
    step.set(wake_at=min(step.now + pause, step.job.deadline_at))


def _with_lora(spec: RenderSpec, lora: Lora, planned: str | None) -> RenderSpec:
    """Its texts begin with the word that was planned with; a LoRA may listen to another."""
    texts = {}
    if planned and planned != lora.trigger_word:
        for name in ("prompt", "tag_prompt"):
            text: str = getattr(spec, name)
            if text.startswith(planned):
                texts[name] = lora.trigger_word + text.removeprefix(planned)
    return spec.model_copy(update={"lora": lora, **texts})


def _wake(step: JobTransition, lora: Lora) -> None:
    """Give every image the LoRA; target and deadline of the job's type count from now."""
    own = timedelta(seconds=step.policies.types[step.job.type].deadline_seconds)
    planned = step.job.character.trigger_word if step.job.character else None
    renders = tuple(
        render.model_copy(update={"spec": _with_lora(render.spec, lora, planned)})
        for render in step.job.renders
    )
    step.set(
        phase="queued",
        deadline_at=step.now + own,
        waited_seconds=elapsed(step.job, step.now),
        renders=renders,
    )
    start_due_attempts(step)

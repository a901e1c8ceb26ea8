"""The rules of a job that waits for its character's LoRA: it looks now and then, and when it is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.characters import Lora
from contracts.generation import RenderSpec
from contracts.jobs import Job
from services.dispatcher.news import elapsed
from services.dispatcher.rendering import start_waiting
from services.dispatcher.story import Story


@dataclass(frozen=True, slots=True)
class KnownLora:
    """State of a character's LoRA and of the choice of its face, as its record says."""

    lora: Lora | None = None
    failure: str | None = None
    """Why there will be none: its training failed, and none runs."""
    failed_at: datetime | None = None
    choices: frozenset[str] = frozenset()
    """The choices of the character's face that its record shows, by their chains."""

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


def begin_to_wait(story: Story) -> None:
    """Wait as long as a training may take.

    The first look is not taken here but when the timers call, which is after this was written: a
    LoRA that was announced before, to a job that could not be found yet, is seen by then.
    """
    patience = timedelta(seconds=story.policies.types["lora_training"].deadline_seconds)
    story.set(
        phase="waiting_for_lora",
        deadline_at=story.job.requested_at + patience,
        wake_at=story.now,
    )


def look_for_lora(story: Story, loras: KnownLoras) -> None:
    """Begin when the LoRA is ready, end when none will come, else look again later."""
    job = story.job
    known = loras.get((job.tenant, job.character_id or ""))
    if story.now >= job.deadline_at:
        waited = (job.deadline_at - job.requested_at).total_seconds()
        story.fail(
            "deadline_exceeded", f"it waited {waited:g} s for the character's LoRA, which is not ready"
        )
    elif known is None:
        _look_later(story)
    elif known.lora:
        _wake(story, known.lora)
    elif known.ends(job):
        story.fail("lora_failed", f"the training of the character's LoRA failed: {known.failure}"[:1000])
    else:
        _look_later(story)


def _look_later(story: Story) -> None:
    pause = timedelta(seconds=story.policies.look_for_lora_seconds)
    story.set(wake_at=min(story.now + pause, story.job.deadline_at))


def _with_lora(spec: RenderSpec, lora: Lora, planned: str | None) -> RenderSpec:
    """Its texts begin with the word that was planned with; a LoRA may listen to another."""
    texts = {}
    if planned and planned != lora.trigger_word:
        for name in ("prompt", "tag_prompt"):
            text: str = getattr(spec, name)
            if text.startswith(planned):
                texts[name] = lora.trigger_word + text.removeprefix(planned)
    return spec.model_copy(update={"lora": lora, **texts})


def _wake(story: Story, lora: Lora) -> None:
    """Give every image the LoRA; target and deadline of the job's type count from now."""
    own = timedelta(seconds=story.policies.types[story.job.type].deadline_seconds)
    planned = story.job.character.trigger_word if story.job.character else None
    renders = tuple(
        render.model_copy(update={"spec": _with_lora(render.spec, lora, planned)})
        for render in story.job.renders
    )
    story.set(
        phase="queued",
        deadline_at=story.now + own,
        waited_seconds=elapsed(story.job, story.now),
        renders=renders,
    )
    start_waiting(story)

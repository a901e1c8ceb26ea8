"""The rules of a job that waits for its character, or the choice of its face, to be stored. Pure.

The job looks for the character now and then. When it is there, the request is published again and
the prompt-builder plans it; when the wait is over, the job ends for the reasons it came with.
"""

from datetime import timedelta

from contracts.generation import GenerationRequested, GenerationWaiting, PlanRequest
from contracts.jobs import Job
from contracts.requests import result_count
from services.dispatcher.policies import Policies
from services.dispatcher.story import CharacterWait, JobRecord, Story
from services.dispatcher.waiting import KnownLoras

SHARE = 4
"""The pause between two looks is at most this part of the time waited so far."""


def is_waiting_for_character(job: Job) -> bool:
    """Tell whether the job can be planned only once its character is stored."""
    return job.phase == "waiting_for_character"


def is_planned_by(job: JobRecord, plan: PlanRequest) -> bool:
    """Tell whether a message is about the request that waits in this job."""
    about = (job.tenant, job.request_hash, job.chain_id)
    return is_waiting_for_character(job) and about == (plan.tenant, plan.request_hash, plan.chain_id)


def begin_to_wait(story: Story, waiting: GenerationWaiting) -> None:
    """Start the wait and announce it. The first look follows when the timers call, after the document
    was written.
    """
    requested, policies = waiting.requested, story.policies
    latest = waiting.requested_at + _request_time(requested, policies)
    if story.now >= latest:
        story.fail("deadline_exceeded", "the request was older than its deadline when it was planned")
        return
    own = timedelta(seconds=policies.types[waiting.type].deadline_seconds)
    short = timedelta(seconds=policies.wait_for_character_seconds)
    story.set(
        phase="waiting_for_character",
        wait=CharacterWait(requested=requested, reasons=waiting.reasons, since=story.now),
        deadline_at=story.now + (own if requested.character_accepted else short),
        wake_at=story.now,
        requested=result_count(requested.request),
    )
    story.event("accepted")


def wait_on(story: Story) -> None:
    """Look again soon: the prompt-builder did not find a character that had been found here."""
    wait = story.job.wait
    if wait is not None and wait.found_at is not None:
        story.set(wake_at=min(story.now + _pause(story), story.job.deadline_at))


def look_for_character(story: Story, known: KnownLoras) -> None:
    """Publish the request again once the character is stored, with the face that was chosen before;
    end at the deadline; else look later.
    """
    job, wait = story.job, story.job.wait
    if wait is None:
        return
    stored = known.get((job.tenant, job.character_id or ""))
    choice = wait.requested.awaited_choice
    found = stored is not None and (choice is None or choice in stored.choices)
    if found and wait.found_at is None:
        deadline = story.now + timedelta(seconds=story.policies.types[job.type].deadline_seconds)
        found_now = wait.model_copy(update={"found_at": story.now})
        story.set(wait=found_now, deadline_at=deadline, wake_at=deadline)
        story.outputs.append(wait.requested)
    elif story.now >= job.deadline_at:
        _end(story, wait)
    elif found:
        story.set(wake_at=job.deadline_at)
        story.outputs.append(wait.requested)
    else:
        story.set(wake_at=min(story.now + _pause(story), job.deadline_at))


def _end(story: Story, wait: CharacterWait) -> None:
    waited = (story.job.deadline_at - wait.since).total_seconds()
    if wait.found_at is not None:
        story.fail("deadline_exceeded", f"it was not planned within {waited:g} s")
    elif wait.requested.character_accepted:
        what = "the face that was chosen for " if wait.requested.awaited_choice else ""
        about = f"{what}character {story.job.character_id}, which was accepted and is not stored yet"
        story.fail("deadline_exceeded", f"it waited {waited:g} s for {about}")
    else:
        story.reject(wait.reasons)


def _request_time(requested: GenerationRequested, policies: Policies) -> timedelta:
    """How old a request may be when its wait begins: a training's time where it waits for a LoRA."""
    waits = getattr(requested.request, "wait_for_lora", False)
    kind = "lora_training" if waits else requested.request.type
    return timedelta(seconds=policies.types[kind].deadline_seconds)


def _pause(story: Story) -> timedelta:
    wait = story.job.wait
    shortest = timedelta(seconds=story.policies.look_for_character_seconds)
    return max(shortest, (story.now - wait.since) / SHARE) if wait else shortest

"""The rules of a job that waits for its character, or the choice of its face, to be stored. Pure.

The job checks at intervals. When the character is stored, the request is published again and the
prompt-builder plans it; when the wait is over, the job ends for the reasons in its message.
"""

from datetime import timedelta

from contracts.generation import GenerationRequested, GenerationWaiting, PlanRequest
from contracts.jobs import Job
from contracts.requests import result_count
from services.dispatcher.job_record import CharacterWait, JobRecord
from services.dispatcher.lora_waits import CharacterStates
from services.dispatcher.policies import Policies
from services.dispatcher.transition import JobTransition

MAX_PAUSE_SHARE = 4
"""The pause between two checks is at most this part of the time waited."""


def is_waiting_for_character(job: Job) -> bool:
    """Tell whether the job can be planned only once its character is stored."""
    return job.phase == "waiting_for_character"


def is_planned_by(job: JobRecord, plan: PlanRequest) -> bool:
    """Tell whether a message is about the request that waits in this job."""
    about = (job.tenant, job.request_hash, job.chain_id)
    return is_waiting_for_character(job) and about == (plan.tenant, plan.request_hash, plan.chain_id)


def begin_wait(step: JobTransition, waiting: GenerationWaiting) -> None:
    """Start the wait and announce it. The timers cause the first check, after the document is written."""
    requested, policies = waiting.requested, step.policies
    latest = waiting.requested_at + _request_time(requested, policies)
    if step.now >= latest:
        step.fail("deadline_exceeded", "the request was older than its deadline when it was planned")
        return
    own = timedelta(seconds=policies.types[waiting.type].deadline_seconds)
    short = timedelta(seconds=policies.wait_for_character_seconds)
    step.set(
        phase="waiting_for_character",
        wait=CharacterWait(requested=requested, reasons=waiting.reasons, since=step.now),
        deadline_at=step.now + (own if requested.character_accepted else short),
        wake_at=step.now,
        requested=result_count(requested.request),
    )
    step.event("accepted")


def continue_wait(step: JobTransition) -> None:
    """Check again soon: the prompt-builder did not find a character that was found here."""
    wait = step.job.wait
    if wait is not None and wait.found_at is not None:
        step.set(wake_at=min(step.now + _pause(step), step.job.deadline_at))


def check_character(step: JobTransition, known: CharacterStates) -> None:
    """Publish the request again if the character is stored with the awaited face; fail at the deadline;
    otherwise check later.
    """
    job, wait = step.job, step.job.wait
    if wait is None:
        return
    state = known.get((job.tenant, job.character_id or ""))
    choice = wait.requested.awaited_choice
    found = state is not None and state.is_stored and (choice is None or choice in state.choices)
    if state is not None and not state.is_stored:
        _extend(step, wait)
        job = step.job
    if found and wait.found_at is None:
        deadline = step.now + timedelta(seconds=step.policies.types[job.type].deadline_seconds)
        found_now = CharacterWait(
            requested=wait.requested, reasons=wait.reasons, since=wait.since, found_at=step.now
        )
        step.set(wait=found_now, deadline_at=deadline, wake_at=deadline)
        step.outputs.append(wait.requested)
    elif step.now >= job.deadline_at:
        _end(step, wait)
    elif found:
        step.set(wake_at=job.deadline_at)
        step.outputs.append(wait.requested)
    else:
        step.set(wake_at=min(step.now + _pause(step), job.deadline_at))


def _extend(step: JobTransition, wait: CharacterWait) -> None:
    """Let the wait last as long as for an accepted character: a selected image will store it."""
    own = timedelta(seconds=step.policies.types[step.job.type].deadline_seconds)
    step.set(deadline_at=max(step.job.deadline_at, wait.since + own))


def _end(step: JobTransition, wait: CharacterWait) -> None:
    waited = (step.job.deadline_at - wait.since).total_seconds()
    if wait.found_at is not None:
        step.fail("deadline_exceeded", f"it was not planned within {waited:g} s")
    elif wait.requested.character_accepted:
        what = "the face that was chosen for " if wait.requested.awaited_choice else ""
        about = f"{what}character {step.job.character_id}, which was accepted and is not stored yet"
        step.fail("deadline_exceeded", f"it waited {waited:g} s for {about}")
    else:
        step.reject(wait.reasons)


def _request_time(requested: GenerationRequested, policies: Policies) -> timedelta:
    """Return the largest age of a request at the start of its wait, longer if it also waits for a LoRA."""
    waits = getattr(requested.request, "wait_for_lora", False)
    kind = "lora_training" if waits else requested.request.type
    return timedelta(seconds=policies.types[kind].deadline_seconds)


def _pause(step: JobTransition) -> timedelta:
    wait = step.job.wait
    shortest = timedelta(seconds=step.policies.look_for_character_seconds)
    return max(shortest, (step.now - wait.since) / MAX_PAUSE_SHARE) if wait else shortest

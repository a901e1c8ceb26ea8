"""The end of an attempt: its state in the ledger, its cost and its message."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from contracts.notices import Notice
from contracts.operations import AttemptSettled
from contracts.renders import Billed, RenderFailed, RenderRequested, RenderSucceeded
from contracts.workflows import seed_of
from services.gateways.kit.provider import Completed, Failed
from services.gateways.kit.workflows import has_free_size
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.lifecycle.decisions import End, PublishSuccess

Outcome = Literal["succeeded", "failed", "cancelled"]

MAX_DROPPED = 100
"""Maximum number of files named in `RenderSucceeded.dropped`; its notice counts all of them."""
FIRST_CHECK = timedelta(seconds=10)
"""When the provider is first asked for an outcome that it had not reported at the end of an attempt."""


def completed(attempt: Attempt, status: Completed, at: datetime) -> PublishSuccess | End:
    """Decide about outputs: deliver them unless the attempt was cancelled or they are not allowed."""
    if attempt.cancel:
        message = settled(attempt.command, "succeeded", "yes", status.cost_usd, at)
        return End("cancelled", "yes", status.cost_usd, message=message)
    if all(output.nsfw for output in status.outputs) and not attempt.command.spec.nsfw_allowed:
        text = "the provider flagged the image as not safe for work"
        flagged = Failed("nsfw", text, retryable=False, billed="yes", cost_usd=status.cost_usd)
        return failed(attempt, flagged, at)
    return PublishSuccess(status, success(attempt.command, status, at))


def succeeded(status: Completed, message: RenderSucceeded | None) -> End:
    """Return the end of a success; its message goes to the outbox unless it is published already."""
    return End("succeeded", "yes", status.cost_usd, message=message)


def failed(attempt: Attempt, status: Failed, at: datetime) -> End:
    """Return the end of a failure that the provider reported, or that happened before anything was sent."""
    if attempt.cancel:
        return _cancelled(attempt, status, at)
    message = RenderFailed(
        **_identity(attempt.command, at),
        code=status.code,
        message=status.message,
        retryable=status.retryable,
        billed=status.billed,
        cost_usd=status.cost_usd,
    )
    error = f"{status.code}: {status.message}"
    withdraw = attempt.facts.intent_unused
    return End("failed", status.billed, status.cost_usd, error, message, withdraw_intent=withdraw)


def given_up(attempt: Attempt, status: Failed, at: datetime) -> End:
    """Return the end of an attempt whose outcome the provider has not reported; it is looked up later."""
    return replace(failed(attempt, status, at), next_check_at=at + FIRST_CHECK)


def cancelled_before_sending(attempt: Attempt) -> End:
    """Return the end of a cancelled attempt of which the provider has nothing. No message is needed."""
    return End("cancelled", "no", withdraw_intent=attempt.facts.intent_unused)


def _cancelled(attempt: Attempt, status: Failed, at: datetime) -> End:
    """Return the end of a cancelled attempt; only its cost is published, for accounting."""
    message = None
    if status.billed != "no":
        message = settled(attempt.command, "cancelled", status.billed, status.cost_usd, at)
    withdraw = attempt.facts.intent_unused
    return End("cancelled", status.billed, status.cost_usd, message=message, withdraw_intent=withdraw)


def success(command: RenderRequested, status: Completed, at: datetime) -> RenderSucceeded:
    """Return the message of a success."""
    return RenderSucceeded(
        **_identity(command, at),
        spec=command.spec,
        outputs=status.outputs,
        dropped=status.dropped[:MAX_DROPPED],
        notices=notices_about(command, status),
        free_size=has_free_size(command.workflow),
        seed=seed_used(command, status),
        provider_seconds=status.seconds,
        cost_usd=status.cost_usd,
        base_model=status.base_model,
        steps=status.steps,
    )


def settled(
    command: RenderRequested, outcome: Outcome, billed: Billed, cost_usd: float | None, at: datetime
) -> AttemptSettled:
    """Return the accounting message of an attempt that nobody waits for."""
    return AttemptSettled(**_identity(command, at), outcome=outcome, billed=billed, cost_usd=cost_usd)


def seed_used(command: RenderRequested, status: Completed) -> int | None:
    """Return the seed of an image; a caller's workflow need not have used ours."""
    if command.workflow is not None:
        return seed_of(command.workflow, command.spec.seed)
    return status.seed if status.seed is not None else command.spec.seed


def notices_about(command: RenderRequested, status: Completed) -> tuple[Notice, ...]:
    """Report the number of images that were made and are not delivered."""
    count = len(status.dropped)
    if command.spec.kind == "image":
        count += len(status.outputs) - 1
    if not count:
        return ()
    images = "1 more image" if count == 1 else f"{count} more images"
    rule = (
        " The node titled 'result' names the result, else the last node that saves; of a batch it is"
        " the first image. For more images ask for a higher count."
        if command.workflow
        else ""
    )
    message = f"Each run made {images} than the one that is delivered.{rule}"
    return (Notice(code="outputs_dropped", message=message, images=(command.spec.index,)),)


def _identity(command: RenderRequested, at: datetime) -> dict[str, Any]:
    """Return the fields that all messages about an attempt have."""
    return {
        "attempt_id": command.attempt_id,
        "job_id": command.job_id,
        "tenant": command.tenant,
        "provider": command.provider,
        "at": at,
    }

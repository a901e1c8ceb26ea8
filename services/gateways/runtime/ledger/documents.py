"""Documents of the `attempts` collection, and the guards of writes to them.

An open document has an `owner`, the process that works on it. An end is final and removes the owner.
`next_check_at` is when a document is checked next: an open one by its owner (`webhook_intake`), an ended
one by any process (`late_outcomes`).
"""

from datetime import datetime
from typing import Any

from pymongo import IndexModel

from contracts.renders import RenderCancel, RenderRequested
from services.gateways.kit.provider import SubmissionRef, idempotency_key_of
from services.gateways.runtime.lifecycle.attempt import OPEN, Attempt, Facts, State
from shared.envelope import Received
from shared.mongo import due_index
from shared.outbox import OUTBOX_INDEX

INDEXES = (
    IndexModel([("owner", 1)], sparse=True),
    OUTBOX_INDEX,
    due_index("next_check_at"),
    IndexModel([("idempotency_key", 1)]),
)


def new_document(
    received: Received[RenderRequested], owner: str, at: datetime, *, with_intent: bool
) -> dict[str, Any]:
    """Return the document of a new command."""
    begin = intent_fields(at) | {"submissions": 1} if with_intent else _NOT_SENT
    return {
        **_identity(received.message),
        "command": received.message.model_dump(),
        "trace": received.trace,
        "owner": owner,
        "accepted_at": at,
        **begin,
    }


def cancelled_document(cancel: RenderCancel, at: datetime) -> dict[str, Any]:
    """Return the document of a cancelled attempt without a command; a later command finds it ended."""
    return {
        **_identity(cancel),
        **_NOT_SENT,
        "state": "cancelled",
        "accepted_at": at,
        "finished_at": at,
    }


_NOT_SENT = {"state": "accepted", "submissions": 0, "billed": "no"}


def _identity(message: RenderRequested | RenderCancel) -> dict[str, Any]:
    return {
        "_id": message.attempt_id,
        "job_id": message.job_id,
        "render_id": message.render_id,
        "tenant": message.tenant,
        "provider": message.provider,
        "idempotency_key": idempotency_key_of(message.attempt_id),
    }


def intent_fields(at: datetime) -> dict[str, Any]:
    """Return the fields of a durable intent: the request may be sent from now on."""
    return {"state": "submitting", "submitting_at": at, "billed": "unknown"}


def ref_fields(ref: SubmissionRef) -> dict[str, Any]:
    """Return the fields that a document has once the provider's reference is known."""
    return {"submission_ref": ref, "external_id": ref["id"]}


def owned(attempt: Attempt) -> dict[str, Any]:
    """Return the guard of its owner's writes."""
    return {"_id": attempt.id, "owner": attempt.owner}


def withdrawn(*, intent: bool) -> dict[str, Any]:
    """Return the update that takes back an intent after which nothing was sent."""
    return {"$inc": {"submissions": -1}} if intent else {}


def attempt_from(document: dict[str, Any]) -> Attempt:
    """Return the attempt of a document.

    One with an intent has an unknown outcome, but one with a submission ref was accepted.
    """
    state, ref = document["state"], document.get("submission_ref")
    if state == "submitting":
        state = "unknown"
    return _attempt(document, "submitted" if state in OPEN and ref else state)


def own_attempt_from(document: dict[str, Any]) -> Attempt:
    """Return an open attempt of this process that is not in memory: its intent was not used yet."""
    attempt = attempt_from(document)
    if document["state"] == "submitting" and not attempt.ref:
        return _attempt(document, "accepted")
    return attempt


def _attempt(document: dict[str, Any], state: State) -> Attempt:
    return Attempt(
        command=RenderRequested.model_validate(document["command"]),
        trace=document.get("trace"),
        owner=document.get("owner", ""),
        facts=Facts(state, document.get("submission_ref")),
        submitting_at=document.get("submitting_at"),
        saved_ref=document.get("submission_ref"),
        cancel=document.get("cancel", False),
    )

"""Webhooks of a provider: record the submission ref, and have the owner poll the attempt now.

The owner may be another process: it finds `next_check_at` in the ledger within a second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from fastapi import FastAPI
from pymongo import UpdateOne

from contracts.base import Provider
from contracts.renders import RenderRequested
from services.gateways.kit.provider import AttemptRequest, SubmissionRef
from services.gateways.runtime.ledger.documents import ref_fields
from services.gateways.runtime.lifecycle.attempt import ENDED, State, request_of
from services.gateways.runtime.scheduling.engine import Engine
from shared.clock import now
from shared.mongo import Collection, due_by, write_guarded

log = structlog.get_logger()

Adoption = Literal["known", "adopted", "late", "too_early", "other"]
"""
known      the ledger has this id already
adopted    it had none: now it has, and the attempt continues from there
late       it had none and the attempt has ended: the ref is recorded, the end stays
too_early  the attempt has not been sent, as far as the ledger shows
other      the ledger has another id for this attempt
"""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """An attempt as the ledger has it when its provider calls."""

    request: AttemptRequest
    state: State
    external_id: str | None


class WebhookIntake:
    """The ledger's side of webhooks."""

    def __init__(self, attempts: Collection, provider: Provider, engine: Engine) -> None:
        self._attempts = attempts
        self._provider = provider
        self._engine = engine

    async def find(self, attempt_id: str) -> WebhookTarget | None:
        """Return the attempt, if it is one of this provider's that could have been sent."""
        fields = {"command": 1, "state": 1, "external_id": 1}
        query = {"_id": attempt_id, "provider": self._provider}
        found = await self._attempts.find_one(query, fields)
        if found is None or "command" not in found:
            return None
        request = request_of(RenderRequested.model_validate(found["command"]))
        return WebhookTarget(request, found["state"], found.get("external_id"))

    async def adopt(self, target: WebhookTarget, ref: SubmissionRef) -> Adoption:
        """Enter the provider's id of an attempt that has none. The first one stays."""
        attempt_id = target.request.attempt_id
        if target.external_id is not None:
            return "known" if target.external_id == ref["id"] else "other"
        if target.state == "accepted":
            return "too_early"
        entry = ref_fields(ref) | {"billed": "yes"}
        guard = {"_id": attempt_id, "external_id": {"$exists": False}}
        submitted = {"state": "submitted", "submitted_at": now()}
        sent = {"state": {"$in": ["submitting", "unknown"]}}
        if (await self._attempts.update_one(guard | sent, {"$set": entry | submitted})).matched_count:
            log.info("submission_adopted", attempt_id=attempt_id, external_id=ref["id"])
            return "adopted"
        ended = {"state": {"$in": list(ENDED)}}
        if (await self._attempts.update_one(guard | ended, {"$set": entry | _check_now()})).matched_count:
            log.warning("submission_found_late", attempt_id=attempt_id, external_id=ref["id"])
            return "late"
        again = await self.find(attempt_id)  # another process wrote in between
        if again is None or again.external_id is None:
            return "too_early"
        return "known" if again.external_id == ref["id"] else "other"

    async def poll_now(self, attempt_id: str) -> None:
        """Have the owner poll it now; if it has ended with an unknown cost, have any process check it."""
        if self._engine.poll_now(attempt_id):
            return
        is_open = {"_id": attempt_id, "owner": {"$exists": True}}
        if (await self._attempts.update_one(is_open, {"$set": {"next_check_at": now()}})).matched_count:
            return
        uncertain = {"_id": attempt_id, "state": {"$in": list(ENDED)}, "billed": "unknown"}
        await self._attempts.update_one(uncertain, {"$set": _check_now()})

    async def collect(self, owner: str) -> None:
        """Cancel or poll this owner's attempts about which another process received a cancel or webhook."""
        fields = {"owner": 1, "cancel": 1, "next_check_at": 1}
        due = self._attempts.find({"next_check_at": due_by(now())}, fields)
        own = [found async for found in due if found.get("owner") == owner]
        marked = [found for found in own if found["_id"] in self._engine]
        for found in marked:
            if found.get("cancel"):
                self._engine.cancel([found["_id"]])
            self._engine.poll_now(found["_id"])
        # Only now, and only as it was read: an attempt that was marked again since stays marked.
        as_read = [{"owner": owner, "cancel": found.get("cancel"), **found} for found in marked]
        remove = {"$unset": {"next_check_at": ""}}
        await write_guarded(self._attempts, [UpdateOne(each, remove) for each in as_read])


def _check_now() -> dict[str, Any]:
    """See `late_outcomes`."""
    return {"next_check_at": now(), "checks": 0}


AddRoutes = Callable[[FastAPI, WebhookIntake], None]
"""Adds the routes that the provider calls to a gateway's HTTP application."""

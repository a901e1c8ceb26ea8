"""A request → its renders, or the reasons why not. No clock, no database, no chance."""

import hashlib
import json
from datetime import datetime
from typing import Any

from contracts.characters import Character
from contracts.generation import (
    GenerationPlanned,
    GenerationRejected,
    GenerationRequested,
    GenerationWaiting,
    Reason,
)
from contracts.requests import GenerationRequest, LoraTrainingRequest
from contracts.times import plausible
from prompts.adults import NotAnAdult
from prompts.catalogue import Catalogue
from prompts.checks import missing_character_reason, rejection_reasons, waits_for_lora
from prompts.follow_ups import follow_up_rejection_reasons
from prompts.renders import first_image_of, renders_of
from prompts.workflows import workflow_notices


def plan(
    requested: GenerationRequested,
    *,
    character: Character | None,
    requested_at: datetime,
    catalogue: Catalogue,
) -> GenerationPlanned | GenerationRejected:
    """The renders of a request, or why it cannot be done.

    `character` is the stored one that `stored_character_id` asks for, None when there is none.
    `requested_at` is the record's time: the latest that the request itself may claim.
    """
    request = requested.request
    person = getattr(request, "character", None) or character
    about = _common_fields(requested, person, requested_at)
    reasons = rejection_reasons(request, person, catalogue)
    reasons += follow_up_rejection_reasons(requested, person, catalogue)
    if reasons:
        return GenerationRejected(**about, reasons=tuple(dict.fromkeys(reasons)))
    assert person is not None, "checked with the reasons"
    try:
        renders = renders_of(requested, person, catalogue)
    except NotAnAdult as error:  # harmless fields that together say something else
        return GenerationRejected(**about, reasons=(Reason(field="request", message=str(error)),))
    waits, partial = waits_for_lora(request, person), bool(getattr(request, "only", ()))
    workflow = getattr(request, "workflow", None)
    return GenerationPlanned(
        **about,
        renders=renders,
        waits_for_lora=waits,
        partial=partial,
        notices=workflow_notices(workflow, renders) if workflow else (),
        **_routing_preferences(request),
    )


def plan_without_character(
    requested: GenerationRequested, *, requested_at: datetime, catalogue: Catalogue
) -> GenerationWaiting | GenerationRejected:
    """Return what becomes of a request whose character is not stored yet: it waits, unless something
    else speaks against it already.
    """
    about = _common_fields(requested, None, requested_at)
    missing = missing_character_reason(requested.request)
    found = rejection_reasons(requested.request, None, catalogue)
    found += follow_up_rejection_reasons(requested, None, catalogue)
    others = tuple(dict.fromkeys(reason for reason in found if reason != missing))
    if others:
        return GenerationRejected(**about, reasons=others)
    again = requested.model_copy(update={"requested_at": about["requested_at"]})
    return GenerationWaiting(**about, requested=again, reasons=(missing,))


def admission_reasons(
    requested: GenerationRequested, character: Character | None, catalogue: Catalogue
) -> tuple[Reason, ...]:
    """Return what would reject a request, without planning it: the same reasons in the same words.

    Of the images only the first is put into words: the others differ by what the catalogue adds.
    """
    request = requested.request
    person = getattr(request, "character", None) or character
    reasons = rejection_reasons(request, person, catalogue)
    reasons += follow_up_rejection_reasons(requested, person, catalogue)
    if person and not reasons and not isinstance(request, LoraTrainingRequest):
        try:
            first_image_of(requested.job_id, request, person, catalogue)
        except NotAnAdult as error:
            return (Reason(field="request", message=str(error)),)
    return tuple(dict.fromkeys(reasons))


def stored_character_id(requested: GenerationRequested) -> str | None:
    """The id of the character that must be read for `plan`; None when it is in the request."""
    character_id: str | None = getattr(requested.request, "character_id", None)
    return character_id


def request_hash(requested: GenerationRequested) -> str:
    """SHA-256 of who asks for what, and for what then.

    Values that equal their default do not count: left out, null and said are the same, and a field
    that a later version adds changes no old request's hash.
    """
    asked: dict[str, Any] = {
        "tenant": requested.tenant,
        "user_id": requested.user_id,
        "type": requested.request.type,
        "request": requested.request.model_dump(mode="json", exclude_defaults=True),
    }
    if requested.then:
        asked["then"] = [
            {"type": follow_up.type} | follow_up.model_dump(mode="json", exclude_defaults=True)
            for follow_up in requested.then
        ]
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _routing_preferences(request: GenerationRequest) -> dict[str, Any]:
    """Provider settings of the request; they win over the routing policy."""
    if isinstance(request, LoraTrainingRequest):
        return {"provider": request.provider}
    return {"provider": request.provider, "model": request.model, "workflow": request.workflow}


def _common_fields(
    requested: GenerationRequested, character: Character | None, recorded_at: datetime
) -> dict[str, Any]:
    return {
        "job_id": requested.job_id,
        "tenant": requested.tenant,
        "user_id": requested.user_id,
        "type": requested.request.type,
        "request_hash": request_hash(requested),
        "requested_at": plausible(requested.requested_at, recorded_at),
        "notify": requested.notify,
        "chain_id": requested.chain,
        "character_id": requested.character_id,
        "character": character,
    }

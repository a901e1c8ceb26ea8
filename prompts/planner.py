"""Planning of a request: its renders, or the reasons for a rejection. Deterministic."""

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
from prompts.checks import lora_reasons, missing_character_reason, rejection_reasons, waits_for_lora
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
    """Plan a request: return its renders or its rejection.

    `character` is the stored character with the id `stored_character_id(requested)`, or None.
    `requested_at` is the time of the record, the latest plausible time of the request.
    """
    request = requested.request
    person = getattr(request, "character", None) or character
    about = _common_fields(requested, person, requested_at)
    reasons = _all_reasons(requested, person, catalogue)
    if reasons:
        return GenerationRejected(**about, reasons=tuple(dict.fromkeys(reasons)))
    assert person is not None, "a missing character is a reason"
    try:
        renders = renders_of(requested, person, catalogue)
    except NotAnAdult as error:  # the fields mention a minor only in combination
        return GenerationRejected(**about, reasons=(Reason(field="request", message=str(error)),))
    workflow = getattr(request, "workflow", None)
    return GenerationPlanned(
        **about,
        renders=renders,
        waits_for_lora=waits_for_lora(request, person),
        partial=bool(getattr(request, "only", ())),
        notices=workflow_notices(workflow, renders) if workflow else (),
        **_routing_preferences(request),
    )


def plan_without_character(
    requested: GenerationRequested, *, requested_at: datetime, catalogue: Catalogue
) -> GenerationWaiting | GenerationRejected:
    """Plan a request whose character is not stored yet.

    The request waits for the character, unless it has other reasons for a rejection.
    """
    about = _common_fields(requested, None, requested_at)
    missing = missing_character_reason(requested.request)
    found = _all_reasons(requested, None, catalogue)
    others = tuple(dict.fromkeys(reason for reason in found if reason != missing))
    if others:
        return GenerationRejected(**about, reasons=others)
    again = requested.model_copy(update={"requested_at": about["requested_at"]})
    return GenerationWaiting(**about, requested=again, reasons=(missing,))


def admission_reasons(
    requested: GenerationRequested, character: Character | None, catalogue: Catalogue
) -> tuple[Reason, ...]:
    """Return the reasons for which `plan` would reject a request, without planning it.

    Only the prompt of the first image is built. The others differ only in texts of the catalogue.
    """
    request = requested.request
    person = getattr(request, "character", None) or character
    reasons = _all_reasons(requested, person, catalogue)
    if person and not reasons and not isinstance(request, LoraTrainingRequest):
        try:
            first_image_of(requested.job_id, request, person, catalogue)
        except NotAnAdult as error:
            return (Reason(field="request", message=str(error)),)
    return tuple(dict.fromkeys(reasons))


def _all_reasons(
    requested: GenerationRequested, person: Character | None, catalogue: Catalogue
) -> tuple[Reason, ...]:
    return (
        *rejection_reasons(requested.request, person, catalogue),
        *lora_reasons(requested),
        *follow_up_rejection_reasons(requested, person, catalogue),
    )


def stored_character_id(requested: GenerationRequested) -> str | None:
    """Return the id of the stored character that `plan` needs, or None if it is described inline."""
    character_id: str | None = getattr(requested.request, "character_id", None)
    return character_id


def request_hash(requested: GenerationRequested) -> str:
    """Return the SHA-256 of a request: tenant, user, request and follow-ups.

    Default values are left out. An explicit default and a missing field give the same hash, and new fields
    of later versions do not change it.
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
    """Return the provider settings of a request. They take precedence over the routing policy."""
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

"""`/v1/characters` and `/v1/chains`: a face is chosen; from sheet to LoRA to pictures as one thing."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from contracts.base import CharacterId, Id, UserId
from contracts.http_chains import (
    BaseImageSelection,
    ChainView,
    CharacterCreation,
    CharacterPage,
    CharacterView,
)
from services.api.callers import CallerHeaders
from services.api.intake import Intake
from services.api.listing import PLACE_OF_CHARACTER, place_of
from services.api.ports import PageQuery
from services.api.reading_chains import ChainReading
from services.api.submit_routes import Beside, Trace
from shared.http.bodies import JsonRoute
from shared.http.problems import problem_responses


def character_routes(intake: Intake, reading: ChainReading) -> APIRouter:
    """Everything below `/v1/characters`."""
    router = APIRouter(
        route_class=JsonRoute,
        prefix="/v1/characters",
        tags=["characters"],
        responses=problem_responses(401, 404, 422, 503),
    )

    @router.post("", status_code=202, responses=problem_responses(400, 409, 413, 415))
    async def create_character(creation: CharacterCreation, context: Beside) -> CharacterView:
        """Create a character from a wizard's configuration. Requests may name it at once.

        Repeating the request, by its `Idempotency-Key` or by the character's own `id`, gives the
        same character.
        """
        character_id = await intake.create(creation, context.caller, context.key, context.trace)
        context.response.headers["Location"] = f"/v1/characters/{quote(character_id, safe='')}"
        return await reading.character(character_id, context.caller.tenant)

    @router.get("", responses=problem_responses(400))
    async def list_characters(
        caller: CallerHeaders,
        user_id: UserId | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(max_length=1000)] = None,
    ) -> CharacterPage:
        """The tenant's characters, newest first, also those that were accepted a moment ago."""
        before = place_of(cursor, PLACE_OF_CHARACTER)
        query = PageQuery(tenant=caller.tenant, user_id=user_id, before=before, limit=limit)
        return await reading.characters(query)

    @router.get("/{character_id}")
    async def get_character(character_id: CharacterId, caller: CallerHeaders) -> CharacterView:
        """A character: who it is, its chosen face, its newest sheet, its LoRA and trigger word."""
        return await reading.character(character_id, caller.tenant)

    @router.post("/{character_id}/base-image", status_code=202, responses=problem_responses(400, 409, 413))
    async def select_base_image(
        character_id: CharacterId, selection: BaseImageSelection, context: Beside
    ) -> ChainView:
        """Choose the face of a character, under an id of the caller's. Its sheet and what follows begin."""
        accepted, _ = await intake.select(character_id, selection, context.caller, context.key, context.trace)
        context.response.headers["Location"] = f"/v1/chains/{accepted.job_id}"
        return await reading.chain(accepted.job_id, context.caller.tenant)

    return router


def chain_routes(intake: Intake, reading: ChainReading) -> APIRouter:
    """Everything below `/v1/chains`."""
    router = APIRouter(prefix="/v1/chains", tags=["chains"], responses=problem_responses(401, 404, 422, 503))

    @router.get("/{chain_id}")
    async def get_chain(chain_id: Id, caller: CallerHeaders) -> ChainView:
        """Where a chain stands, step by step. Its jobs have their own views and events."""
        return await reading.chain(chain_id, caller.tenant)

    @router.post("/{chain_id}/cancel", status_code=202, responses=_already("The chain had already ended"))
    async def cancel_chain(
        chain_id: Id, caller: CallerHeaders, trace: Trace, response: Response
    ) -> ChainView:
        """Stop a whole chain. What is delivered stays; it can be resumed."""
        view = await reading.chain(chain_id, caller.tenant)
        if view.state == "running":
            await intake.cancel_chain(chain_id, caller, trace)
        else:
            response.status_code = 200
        return view

    @router.post("/{chain_id}/resume", status_code=202, responses=_already("The chain is completed"))
    async def resume_chain(
        chain_id: Id, caller: CallerHeaders, trace: Trace, response: Response
    ) -> ChainView:
        """Try again what failed or was stopped, and go on from there; of a sheet, only what is missing."""
        view = await reading.chain(chain_id, caller.tenant)
        if view.state != "completed":
            await intake.resume_chain(chain_id, caller, trace)
        else:
            response.status_code = 200
        return view

    return router


def _already(description: str) -> dict[int | str, dict[str, object]]:
    return {200: {"model": ChainView, "description": description}}

"""`/v1/characters` and `/v1/chains`: characters, the choice of a face, chains of jobs."""

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
from services.api.chain_queries import ChainQueries
from services.api.job_pages import CHARACTER_POSITION, position_of
from services.api.ports import PageQuery
from services.api.request_context import RequestContext, Trace
from services.api.submission_service import SubmissionService
from shared.http.bodies import JsonRoute
from shared.http.problems import problem_responses


def character_routes(service: SubmissionService, chains: ChainQueries) -> APIRouter:
    """Return the routes below `/v1/characters`."""
    router = APIRouter(
        route_class=JsonRoute,
        prefix="/v1/characters",
        tags=["characters"],
        responses=problem_responses(401, 404, 422, 503),
    )

    @router.post("", status_code=202, responses=problem_responses(400, 409, 413, 415))
    async def create_character(creation: CharacterCreation, context: RequestContext) -> CharacterView:
        """Create a character from a wizard's configuration. Requests may name it at once.

        Repeating the request, with the same `Idempotency-Key` or the same `id`, returns the same
        character.
        """
        character_id = await service.create(creation, context.caller, context.key, context.trace)
        context.response.headers["Location"] = f"/v1/characters/{quote(character_id, safe='')}"
        return await chains.character(character_id, context.caller.tenant)

    @router.get("", responses=problem_responses(400))
    async def list_characters(
        caller: CallerHeaders,
        user_id: UserId | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(max_length=1000)] = None,
    ) -> CharacterPage:
        """List the tenant's characters, newest first, including those that are not stored yet."""
        before = position_of(cursor, CHARACTER_POSITION)
        query = PageQuery(tenant=caller.tenant, user_id=user_id, before=before, limit=limit)
        return await chains.characters(query)

    @router.get("/{character_id}")
    async def get_character(character_id: CharacterId, caller: CallerHeaders) -> CharacterView:
        """Get a character: its description, chosen face, newest sheet, LoRA and trigger word."""
        return await chains.character(character_id, caller.tenant)

    @router.post("/{character_id}/base-image", status_code=202, responses=problem_responses(400, 409, 413))
    async def select_base_image(
        character_id: CharacterId, selection: BaseImageSelection, context: RequestContext
    ) -> ChainView:
        """Choose the face of a character, under an id of the caller's. Starts its sheet and follow-ups.

        Replace `base_image_id` of the example by a finished image of one of your jobs.
        """
        accepted, _ = await service.select(
            character_id, selection, context.caller, context.key, context.trace
        )
        context.response.headers["Location"] = f"/v1/chains/{accepted.job_id}"
        return await chains.chain(accepted.job_id, context.caller.tenant)

    return router


def chain_routes(service: SubmissionService, chains: ChainQueries) -> APIRouter:
    """Return the routes below `/v1/chains`."""
    router = APIRouter(prefix="/v1/chains", tags=["chains"], responses=problem_responses(401, 404, 422, 503))

    @router.get("/{chain_id}")
    async def get_chain(chain_id: Id, caller: CallerHeaders) -> ChainView:
        """Get the state of a chain, step by step. Its jobs have their own views and events."""
        return await chains.chain(chain_id, caller.tenant)

    @router.post("/{chain_id}/cancel", status_code=202, responses=_already("The chain had already ended"))
    async def cancel_chain(
        chain_id: Id, caller: CallerHeaders, trace: Trace, response: Response
    ) -> ChainView:
        """Stop a whole chain. Delivered images stay, and the chain can be resumed."""
        view = await chains.chain(chain_id, caller.tenant)
        if view.state == "running":
            await service.cancel_chain(chain_id, caller, trace)
        else:
            response.status_code = 200
        return view

    @router.post("/{chain_id}/resume", status_code=202, responses=_already("The chain is completed"))
    async def resume_chain(
        chain_id: Id, caller: CallerHeaders, trace: Trace, response: Response
    ) -> ChainView:
        """Retry the failed or stopped steps and continue; of a sheet, only the missing images."""
        view = await chains.chain(chain_id, caller.tenant)
        if view.state != "completed":
            await service.resume_chain(chain_id, caller, trace)
        else:
            response.status_code = 200
        return view

    return router


def _already(description: str) -> dict[int | str, dict[str, object]]:
    return {200: {"model": ChainView, "description": description}}

"""`POST /v1/base-images` and its siblings: a request in, 202 and its job out."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from contracts.http import (
    AnySubmission,
    BaseImageSubmission,
    CharacterSheetSubmission,
    JobView,
    LoraTrainingSubmission,
    ProfilePicturesSubmission,
    StudioSubmission,
)
from contracts.scalars import TextPattern
from services.api.callers import CallerHeaders
from services.api.domain import Caller
from services.api.intake import Intake
from services.api.reading import Reading
from shared.http.bodies import JsonRoute
from shared.http.problems import problem_responses
from shared.observability.tracing import start_span, traceparent

IdempotencyKey = Annotated[
    Annotated[str, TextPattern(r"^[\x20-\x7e]{1,255}$", "printable ASCII of 1 to 255 characters")] | None,
    Header(
        alias="Idempotency-Key",
        description="The same key and body again give the same job; unique per tenant.",
    ),
]
TraceParent = Annotated[
    str | None,
    Header(alias="traceparent", include_in_schema=False),
]


async def trace_of(header: TraceParent = None) -> str | None:
    """The trace to continue: the caller's, or a new one."""
    span = start_span("accept", header, {})
    span.end()
    return traceparent(span)


Trace = Annotated[str | None, Depends(trace_of)]


@dataclass(frozen=True, slots=True)
class Context:
    """What comes beside the body."""

    response: Response
    caller: Caller
    trace: str | None
    key: str | None


async def _beside(
    response: Response, caller: CallerHeaders, trace: Trace, key: IdempotencyKey = None
) -> Context:
    """Async, as every dependency here: FastAPI gives the others a thread each."""
    return Context(response, caller, trace, key)


Beside = Annotated[Context, Depends(_beside)]


def submit_routes(intake: Intake, reading: Reading) -> APIRouter:
    """One route per request type."""
    router = APIRouter(
        route_class=JsonRoute,
        prefix="/v1",
        tags=["requests"],
        responses=problem_responses(400, 401, 409, 413, 415, 422, 503),
    )

    async def submit(submission: AnySubmission, context: Context) -> JobView:
        accepted, new = await intake.submit(submission, context.caller, context.key, context.trace)
        context.response.headers["Location"] = f"/v1/jobs/{accepted.job_id}"
        return await reading.submitted(accepted, new=new)

    @router.post("/base-images", status_code=202)
    async def base_images(submission: BaseImageSubmission, context: Beside) -> JobView:
        """One to three candidates for a new character's face. Target: 30 s for 3."""
        return await submit(submission, context)

    @router.post("/character-sheets", status_code=202)
    async def character_sheets(submission: CharacterSheetSubmission, context: Beside) -> JobView:
        """A character in 7 to 10 poses: the training data of its LoRA. Target: 5 min."""
        return await submit(submission, context)

    @router.post("/studio", status_code=202)
    async def studio(submission: StudioSubmission, context: Beside) -> JobView:
        """One to ten pictures of a character in a scene. Target: 15 s."""
        return await submit(submission, context)

    @router.post("/profile-pictures", status_code=202)
    async def profile_pictures(submission: ProfilePicturesSubmission, context: Beside) -> JobView:
        """The pictures of one profile-picture set. Target: 2 min."""
        return await submit(submission, context)

    @router.post("/lora-trainings", status_code=202)
    async def lora_trainings(submission: LoraTrainingSubmission, context: Beside) -> JobView:
        """Train a character's LoRA."""
        return await submit(submission, context)

    return router

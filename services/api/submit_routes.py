"""`POST /v1/base-images` and the other request types: 202 with the view of the new job."""

from fastapi import APIRouter

from contracts.http import (
    AnySubmission,
    BaseImageSubmission,
    CharacterSheetSubmission,
    JobView,
    LoraTrainingSubmission,
    ProfilePicturesSubmission,
    StudioSubmission,
)
from services.api.job_queries import JobQueries
from services.api.request_context import Context, RequestContext
from services.api.submission_service import SubmissionService
from shared.http.bodies import JsonRoute
from shared.http.problems import problem_responses


def submit_routes(service: SubmissionService, jobs: JobQueries) -> APIRouter:
    """Return one route per request type."""
    router = APIRouter(
        route_class=JsonRoute,
        prefix="/v1",
        tags=["requests"],
        responses=problem_responses(400, 401, 409, 413, 415, 422, 503),
    )

    async def submit(submission: AnySubmission, context: Context) -> JobView:
        accepted, new = await service.submit(submission, context.caller, context.key, context.trace)
        context.response.headers["Location"] = f"/v1/jobs/{accepted.job_id}"
        return await jobs.submitted(accepted, new=new)

    @router.post("/base-images", status_code=202)
    async def base_images(submission: BaseImageSubmission, context: RequestContext) -> JobView:
        """Generate one to three candidates for a new character's face. Target: 30 s for 3."""
        return await submit(submission, context)

    @router.post("/character-sheets", status_code=202)
    async def character_sheets(submission: CharacterSheetSubmission, context: RequestContext) -> JobView:
        """Generate a character in 7 to 10 poses, the training data of its LoRA. Target: 5 min.

        Replace `base_image_id` of the example by an image of one of your jobs.
        """
        return await submit(submission, context)

    @router.post("/studio", status_code=202)
    async def studio(submission: StudioSubmission, context: RequestContext) -> JobView:
        """Generate one to ten pictures of a character in a scene. Target: 15 s."""
        return await submit(submission, context)

    @router.post("/profile-pictures", status_code=202)
    async def profile_pictures(submission: ProfilePicturesSubmission, context: RequestContext) -> JobView:
        """Generate the pictures of one profile-picture set. Target: 2 min."""
        return await submit(submission, context)

    @router.post("/lora-trainings", status_code=202)
    async def lora_trainings(submission: LoraTrainingSubmission, context: RequestContext) -> JobView:
        """Train a character's LoRA.

        Replace the ids of the example: `character_id` by a character of yours, `images` by images of jobs.
        """
        return await submit(submission, context)

    return router

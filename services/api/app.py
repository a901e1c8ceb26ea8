"""The one place where the api's parts meet."""

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from services.api.body_limit import BodyLimit
from services.api.chain_routes import chain_routes, character_routes
from services.api.intake import Intake
from services.api.job_routes import job_routes
from services.api.reading import Reading
from services.api.reading_chains import ChainReading
from services.api.submit_routes import submit_routes
from shared.problems import install_problems

DESCRIPTION = """
Ask for images, follow and cancel jobs and chains of jobs, fetch results.

This service stands behind the product's own authentication. The product says who asks in
`X-Tenant-Id` and `X-User-Id`; both are believed, so it must not be reachable from outside.

Requests are accepted durably, also while the message broker is away. Send an `Idempotency-Key`
(or a `job_id`) with every request: repeating it after a lost answer gives the same job.

Errors are problems (RFC 9457). On 503 repeat the request after `Retry-After` seconds.
"""


def build(app: FastAPI, intake: Intake, reading: Reading, chains: ChainReading) -> None:
    """Give the application its routes, its errors and its documentation."""
    app.title = "imagegen"
    app.version = "1"
    app.description = DESCRIPTION
    app.add_middleware(BodyLimit)
    install_problems(app)
    app.include_router(submit_routes(intake, reading))
    app.include_router(job_routes(intake, reading))
    app.include_router(character_routes(intake, chains))
    app.include_router(chain_routes(intake, chains))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(openapi_url="/openapi.json", title="imagegen")

"""The api's HTTP application."""

from fastapi import FastAPI

from services.api.chain_queries import ChainQueries
from services.api.chain_routes import chain_routes, character_routes
from services.api.job_queries import JobQueries
from services.api.job_routes import job_routes
from services.api.submission_service import SubmissionService
from services.api.submit_routes import submit_routes
from shared.http.bodies import BodyRules
from shared.http.documentation import serve_documentation
from shared.http.identity import TRUSTED_HEADERS
from shared.http.problems import install_problems
from shared.http.queries import include_strictly

DESCRIPTION = f"""
Submit image requests, follow and cancel jobs and chains of jobs, fetch results.

{TRUSTED_HEADERS}

Accepted requests are stored durably, also while the message broker is unavailable. Send an
`Idempotency-Key` (or a `job_id`) with every request: repeating it after a lost answer returns the same job.

Errors are problem documents (RFC 9457). After a 503, repeat the request after `Retry-After` seconds.
"""


def build(app: FastAPI, service: SubmissionService, jobs: JobQueries, chains: ChainQueries) -> None:
    """Add middleware, errors, documentation and routes to the application."""
    app.title = "imagegen"
    app.version = "1"
    app.description = DESCRIPTION
    app.add_middleware(BodyRules)
    install_problems(app)
    serve_documentation(app, "services.api")
    for router in (
        submit_routes(service, jobs),
        job_routes(service, jobs),
        character_routes(service, chains),
        chain_routes(service, chains),
    ):
        include_strictly(app, router)

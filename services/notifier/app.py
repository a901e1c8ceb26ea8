"""The notifier's HTTP application."""

from typing import Final

from fastapi import APIRouter, FastAPI

from shared.http.bodies import BodyRules
from shared.http.documentation import serve_documentation
from shared.http.identity import TRUSTED_HEADERS
from shared.http.problems import install_problems
from shared.http.queries import include_strictly

BODY_BYTES: Final = 64 * 1024
"""Limit of a body; no request needs more than a few addresses."""
DESCRIPTION = f"""
Follow jobs as Server-Sent Events; inspect and replay webhook deliveries.

{TRUSTED_HEADERS} Browsers' `EventSource` cannot send headers: streams also take `tenant` and `user` in the
query, trusted in the same way.

Webhooks are signed according to Standard Webhooks (`webhook-id`, `webhook-timestamp`,
`webhook-signature`). The id names the event, and a receiver recognises a repetition by it.
"""


def build(app: FastAPI, *routers: APIRouter) -> None:
    """Add middleware, errors, documentation and routes to the application."""
    app.title = "imagegen events"
    app.version = "1"
    app.description = DESCRIPTION
    app.add_middleware(BodyRules, max_bytes=BODY_BYTES)
    install_problems(app)
    serve_documentation(app, "services.notifier")
    for router in routers:
        include_strictly(app, router)

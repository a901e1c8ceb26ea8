"""The one place where the notifier's HTTP parts meet."""

from fastapi import APIRouter, FastAPI

from shared.problems import install_problems

DESCRIPTION = """
Follow jobs as Server-Sent Events; look after webhooks.

This service stands behind the product's own authentication, which says who listens: in
`X-Tenant-Id` and `X-User-Id`, or, for browsers' `EventSource`, in the query as `tenant` and `user`.
Both are believed, so it must not be reachable from outside.

Webhooks are signed as Standard Webhooks say (`webhook-id`, `webhook-timestamp`,
`webhook-signature`); the id names the event, so a repetition is recognised by it.
"""


def build(app: FastAPI, *routers: APIRouter) -> None:
    """Give the application its routes and its errors."""
    app.title = "imagegen events"
    app.version = "1"
    app.description = DESCRIPTION
    install_problems(app)
    for router in routers:
        app.include_router(router)

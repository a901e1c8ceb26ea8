"""Endpoints for operators, as FastStream ASGI routes: health, metrics and the topics that a process reads."""

import json

from faststream.asgi import AsgiFastStream, AsgiResponse, AsyncAPIRoute, get
from faststream.asgi.types import Scope
from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.observability.health import Health
from shared.observability.logs import framework_logger

ASYNCAPI_PATH = "/asyncapi"
PATHS = frozenset({"/health/live", "/health/ready", "/metrics", ASYNCAPI_PATH, f"{ASYNCAPI_PATH}.json"})
DESCRIPTION = "Topics that this service reads. `contracts/asyncapi.yaml` describes the whole platform."


def is_operational(path: str) -> bool:
    """Return whether `operations` answers this path."""
    return path in PATHS


def operations(service: str, broker: KafkaBroker, health: Health) -> AsgiFastStream:
    """Return the ASGI application. It answers whether or not the broker is connected.

    `/health/live`; `/health/ready`, with the problems, 503 if the process cannot work; `/metrics`;
    `/asyncapi`, a page, and `/asyncapi.json`. Nothing can be published from the page.
    """

    @get(include_in_schema=False)
    async def live(scope: Scope) -> AsgiResponse:
        return _json({"status": "alive"})

    @get(include_in_schema=False)
    async def ready(scope: Scope) -> AsgiResponse:
        problems = await health.problems()
        status = "degraded" if problems else "ready"
        return _json({"status": status, "problems": problems}, 200 if health.ready(problems) else 503)

    @get(include_in_schema=False)
    async def metrics(scope: Scope) -> AsgiResponse:
        return AsgiResponse(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return AsgiFastStream(
        broker,
        asgi_routes=[("/health/live", live), ("/health/ready", ready), ("/metrics", metrics)],
        asyncapi_path=AsyncAPIRoute(ASYNCAPI_PATH, try_it_out_path=None),
        specification=AsyncAPI(title=f"imagegen {service}", version="1.0.0", description=DESCRIPTION),
        logger=framework_logger("faststream"),
    )


def _json(body: object, status: int = 200) -> AsgiResponse:
    return AsgiResponse(json.dumps(body).encode(), status, {"Content-Type": "application/json"})

"""OpenAPI documents with examples, and the interactive documentation at /docs.

The examples of a service lie in its `openapi.yaml`: `parameters` by name, each with a description and an
example; `operations` by method and path, each with a `request` body (or several `requests`, by their
names) and the `response` of its first success status.
"""

from importlib.resources import files
from typing import Any

import yaml
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from contracts.scalars import LARGEST_SEED

BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
ASSETS = "docs/assets"
PARAMETERS = {"displayRequestDuration": True, "filter": True, "validatorUrl": None}


def serve_documentation(app: FastAPI, package: str) -> None:
    """Add /docs and the examples of a service's package to its application.

    The page loads nothing from other hosts, so it works offline.
    """
    _add_examples(app, package)
    app.mount(f"/{ASSETS}", StaticFiles(packages=[("fastapi_swagger", "resources")]))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title}: API",
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon-32x32.png",
            swagger_ui_parameters=PARAMETERS,
        )


def examples_of(package: str) -> dict[str, Any]:
    """Return the contents of a service's `openapi.yaml`."""
    found: dict[str, Any] = yaml.safe_load(files(package).joinpath("openapi.yaml").read_text("utf-8"))
    return found


def _add_examples(app: FastAPI, package: str) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                separate_input_output_schemas=False,
            )
            _restore_bounds(document)
            examples = examples_of(package)
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    known = examples["operations"].get(f"{method.upper()} {path}", {})
                    _describe(operation, known, examples["parameters"])
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _restore_bounds(part: Any) -> None:
    """Write the bounds of integers as integers. FastAPI makes them floats, which rounds that of seeds."""
    if isinstance(part, list):
        for each in part:
            _restore_bounds(each)
    if isinstance(part, dict):
        for name, value in part.items():
            if name in BOUNDS and isinstance(value, float) and part.get("type") == "integer":
                part[name] = LARGEST_SEED if value == float(LARGEST_SEED) else int(value)
            else:
                _restore_bounds(value)


def _describe(operation: dict[str, Any], known: dict[str, Any], parameters: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        parameter.update(parameters.get(parameter["name"], {}))
    if "request" in known:
        _body_of(operation["requestBody"])["example"] = known["request"]
    if "requests" in known:
        named = {name: {"summary": name, "value": body} for name, body in known["requests"].items()}
        _body_of(operation["requestBody"])["examples"] = named
    if "response" in known:
        success = min(status for status in operation["responses"] if status.startswith("2"))
        _body_of(operation["responses"][known.get("status", success)])["example"] = known["response"]


def _body_of(described: dict[str, Any]) -> dict[str, Any]:
    """Return the one media type of a request body or an answer."""
    (body,) = described["content"].values()
    found: dict[str, Any] = body
    return found

"""The interactive documentation of both HTTP services, and the statement on who may reach them."""

import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from shared.http.identity import TRUSTED_HEADERS
from tests.fakes.api import ApiHarness
from tests.fakes.notifier import NotifierHarness

README = Path(__file__).parents[2] / "README.md"


def application(service: str) -> FastAPI:
    return ApiHarness().app if service == "api" else NotifierHarness().app


def client(service: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(application(service)), base_url="http://service")


@pytest.mark.parametrize("service", ["api", "notifier"])
async def test_the_documentation_page_loads_everything_from_the_service_itself(service: str) -> None:
    async with client(service) as http:
        page = (await http.get("/docs")).text
        links = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert len(links) == 3
        assert [link for link in links if "//" in link] == []
        for link in links:
            answer = await http.get(f"/{link}")
            assert (answer.status_code, len(answer.content) > 500) == (200, True), link


@pytest.mark.parametrize("service", ["api", "notifier"])
def test_readme_and_openapi_make_the_same_statement_on_identity(service: str) -> None:
    assert TRUSTED_HEADERS in application(service).openapi()["info"]["description"]
    assert TRUSTED_HEADERS in README.read_text(encoding="utf-8")

"""Fixtures of these tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.modal_app.fakes import AppHarness


@pytest.fixture
def harness(tmp_path: Path) -> AppHarness:
    return AppHarness(tmp_path)


@pytest.fixture
async def client(harness: AppHarness) -> AsyncIterator[httpx.AsyncClient]:
    async with harness.client() as open_image:
        yield open_image

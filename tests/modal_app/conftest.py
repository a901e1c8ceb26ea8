"""What most of these tests begin with."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.modal_app.fakes import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with bench.client() as opened:
        yield opened

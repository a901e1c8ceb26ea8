"""Requests of a caller of the application."""

import asyncio
from typing import Any

import httpx

from contracts.modal_app import (
    ModalPending,
    ModalResult,
    ModalSubmitted,
)


async def submit(client: httpx.AsyncClient, body: dict[str, Any]) -> str:
    answer = await client.post("/submit", json=body)
    assert answer.status_code == 200, answer.text
    return ModalSubmitted.model_validate_json(answer.content).call_id


async def ended(client: httpx.AsyncClient, call_id: str) -> ModalResult:
    async with asyncio.timeout(2):
        while (answer := await client.get(f"/result/{call_id}")).status_code == 202:
            ModalPending.model_validate_json(answer.content)
            await asyncio.sleep(0)
    assert answer.status_code == 200, answer.text
    return ModalResult.model_validate_json(answer.content)

"""State of a prompt at the server, asked for by the prompt's own id.

`GET /queue` and `GET /history` hold everybody's graphs and metadata, which may be megabytes. A poll
reads one entry by its id. The queue is read for positions, for lists, and on servers without
`/api/jobs` to tell a waiting prompt from a lost one; then only ids are kept of it.
"""

import asyncio
from typing import Any, Final

import httpx
import structlog

from services.gateways.comfyui.answers import Run, job_in, queue_in, run_in
from services.gateways.runtime.provider import NoAnswer, Working
from services.gateways.runtime.wire import ask, excerpt, json_of

log = structlog.get_logger()

QUEUE_SECONDS: Final = 5.0
"""Age at which a look at the queue that polls share is renewed."""
POSITION_PATIENCE: Final = 1.0
"""Seconds that a poll waits for the queue when it only wants a position."""
QUEUE_DEPTH: Final = 3
"""`{"queue_pending": [[number, id, …]]}`: graphs and metadata are below."""
JOB_DEPTH: Final = 6
"""Down to a file in `outputs` and the list of cached nodes in `execution_status`."""
HISTORY_DEPTH: Final = 7
"""The same below the prompt's id."""


class NoJobsApi(Exception):
    """The server does not have `/api/jobs/{id}`."""


class PromptLookup:
    """Asks the server at `url` about prompts. Keeps one look at the queue for a few seconds."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._has_jobs = True
        """Until the server says that it does not: `/api/jobs` came with 0.6."""
        self._look: asyncio.Task[dict[str, Working]] | None = None
        self._look_until = 0.0

    async def state_of(self, prompt_id: str) -> Working | Run | None:
        """Return how a prompt stands, or None where the server has none by this id.

        Raises:
            NoAnswer: ask again later.
        """
        if self._has_jobs:
            try:
                return await self._job(prompt_id)
            except NoJobsApi:
                log.info("comfyui_jobs_api_missing", url=self._url)
                self._has_jobs = False
        return await self._in_history_or_queue(prompt_id)

    async def queue(self) -> dict[str, Working]:
        """Return everybody's unfinished prompts by id.

        Raises:
            NoAnswer: ask again later.
        """
        answer = await ask(self._http, "GET", f"{self._url}/queue", depth=QUEUE_DEPTH)
        return queue_in(json_of(answer))

    def expire(self) -> None:
        """Have the next poll look at the queue again: we have just changed it."""
        self._look_until = 0.0

    async def _job(self, prompt_id: str) -> Working | Run | None:
        """One question: the server looks into its queue, then into its history."""
        answer = await ask(self._http, "GET", f"{self._url}/api/jobs/{prompt_id}", depth=JOB_DEPTH)
        body = _object_in(answer)
        if answer.status_code in (404, 405, 501) and "error" not in body:
            raise NoJobsApi
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise NoAnswer(f"job: {answer.status_code} {excerpt(answer)}")
        found = job_in(body, prompt_id)
        if isinstance(found, Working) and found.state == "queued":
            return Working("queued", queue_position=await self._position(prompt_id))
        return found

    async def _in_history_or_queue(self, prompt_id: str) -> Working | Run | None:
        """Two questions, the queue before the history: a prompt moves in that direction only."""
        if (run := await self._history(prompt_id)) is not None:
            return run
        if (waiting := (await self._recent_queue()).get(prompt_id)) is not None:
            return waiting
        if (waiting := (await self.queue()).get(prompt_id)) is not None:
            return waiting
        return await self._history(prompt_id)

    async def _history(self, prompt_id: str) -> Run | None:
        answer = await ask(self._http, "GET", f"{self._url}/history/{prompt_id}", depth=HISTORY_DEPTH)
        if answer.status_code != 200:
            raise NoAnswer(f"history: {answer.status_code} {excerpt(answer)}")
        return run_in(json_of(answer), prompt_id)

    async def _position(self, prompt_id: str) -> int | None:
        """A position is worth no failed poll, and no long one."""
        try:
            async with asyncio.timeout(POSITION_PATIENCE):
                place = (await self._recent_queue()).get(prompt_id)
        except (NoAnswer, TimeoutError):
            return None
        return place.queue_position if place else None

    async def _recent_queue(self) -> dict[str, Working]:
        time = asyncio.get_running_loop().time()
        if self._look is None or time > self._look_until:
            self._look = asyncio.create_task(self.queue())
            self._look.add_done_callback(_retrieved)
            self._look_until = time + QUEUE_SECONDS
        return await asyncio.shield(self._look)


def _retrieved(look: asyncio.Task[Any]) -> None:
    """Nobody may be waiting for it any more."""
    if not look.cancelled():
        look.exception()


def _object_in(answer: httpx.Response) -> dict[str, Any]:
    try:
        return json_of(answer)
    except NoAnswer:
        if answer.status_code == 200:
            raise
        return {}

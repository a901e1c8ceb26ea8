"""Lookup of a prompt's state at the server, by the prompt's own id.

`GET /queue` and `GET /history` hold everybody's graphs and metadata, which may be megabytes. A poll
reads one entry by its id, positions and lists come from `GET /api/jobs`, which names no graphs. Servers
without it are asked for the whole queue, also to tell a waiting prompt from a lost one; only ids
are kept of the answer.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import structlog

from services.gateways.comfyui.answers import Run, job_in, queue_in, run_in, unfinished_in
from services.gateways.kit.provider import InProgress, StatusUnavailable
from services.gateways.kit.wire import ask, excerpt, json_of

log = structlog.get_logger()

QUEUE_SECONDS: Final = 5.0
"""Age at which the copy of the queue that polls share is renewed."""
POSITION_PATIENCE: Final = 1.0
"""Seconds for which a poll waits for the queue when it needs only a position."""
QUEUE_DEPTH: Final = 3
"""`{"queue_pending": [[number, id, …]]}`: graphs and metadata are below."""
LIST_DEPTH: Final = 3
"""`{"jobs": [{"id": …}]}`"""
PAGE: Final = 1000
"""Jobs in one answer of `GET /api/jobs`."""
MAX_PAGES: Final = 50
JOB_DEPTH: Final = 6
"""Depth of a file in `outputs` and the list of cached nodes in `execution_status`."""
HISTORY_DEPTH: Final = 7
"""The same below the prompt's id."""
NO_SUCH_JOB: Final = "Job not found"
"""ComfyUI's own words. Any other 404 comes from a server without `/api/jobs`, or a proxy before it."""
NO_ROUTE: Final = (404, 405, 501)
SERVER_ERROR: Final = 500
"""ComfyUI's status for an exception of its own. A server that is away, or a proxy, gives another one."""
PROBE_SECONDS: Final = 300.0
"""Age at which `/api/jobs` is tried again where it was missing: the server may have been updated."""


class NoJobsApi(Exception):
    """The server has no `/api/jobs` for now."""


class UnreadablePrompt(StatusUnavailable):
    """The server has a prompt by this id, answers 500 for it, and answers other questions."""


class PromptLookup:
    """Asks the server at `url` about prompts. Keeps a copy of the queue for a few seconds."""

    def __init__(self, http: httpx.AsyncClient, url: str, time: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._url = url
        self._time = time
        self._jobs_from = 0.0
        """Earliest time to ask `/api/jobs` (again); ComfyUI has it since 0.6."""
        self._look: asyncio.Task[dict[str, InProgress]] | None = None
        self._look_until = 0.0

    async def state_of(self, prompt_id: str) -> InProgress | Run | None:
        """Return the state of a prompt, or None if the server has none by this id.

        Raises:
            UnreadablePrompt: it has ended, and its end cannot be read.
            StatusUnavailable: ask again later.
        """
        try:
            return await self._asked(prompt_id)
        except StatusUnavailable as error:
            if error.status != SERVER_ERROR:
                raise
            if (waiting := (await self.unfinished()).get(prompt_id)) is not None:
                return waiting
            raise UnreadablePrompt(str(error), error.status) from error

    async def _asked(self, prompt_id: str) -> InProgress | Run | None:
        if self._may_ask_jobs():
            try:
                return await self._job(prompt_id)
            except NoJobsApi:
                self._without_jobs()
        return await self._in_history_or_queue(prompt_id)

    async def unfinished(self) -> dict[str, InProgress]:
        """Return everybody's unfinished prompts by id.

        Raises:
            StatusUnavailable: ask again later.
        """
        if self._may_ask_jobs():
            try:
                return await self._listed()
            except NoJobsApi:
                self._without_jobs()
        return await self._queue()

    def _may_ask_jobs(self) -> bool:
        return self._time() >= self._jobs_from

    def _without_jobs(self) -> None:
        log.info("comfyui_jobs_api_missing", url=self._url)
        self._jobs_from = self._time() + PROBE_SECONDS

    def expire(self) -> None:
        """Have the next poll read the queue again, because it was changed."""
        self._look_until = 0.0

    async def _job(self, prompt_id: str) -> InProgress | Run | None:
        """Ask for one job; the server searches its queue, then its history."""
        answer = await ask(self._http, "GET", f"{self._url}/api/jobs/{prompt_id}", depth=JOB_DEPTH)
        body = _object_in(answer)
        if answer.status_code == 404 and body.get("error") == NO_SUCH_JOB:
            return await self._history(prompt_id)
        if answer.status_code in NO_ROUTE:
            raise NoJobsApi
        if answer.status_code != 200:
            raise StatusUnavailable(f"job: {answer.status_code} {excerpt(answer)}")
        found = job_in(body, prompt_id)
        if isinstance(found, InProgress) and found.state == "queued":
            return InProgress("queued", queue_position=await self._position(prompt_id))
        return found

    async def _listed(self) -> dict[str, InProgress]:
        """Return all pages; they may overlap or leave a gap when a job ends meanwhile."""
        jobs: list[Any] = []
        for page in range(MAX_PAGES):
            asked = {"status": "pending,in_progress", "sort_order": "asc", "limit": PAGE}
            params = asked | {"offset": page * PAGE}
            answer = await ask(self._http, "GET", f"{self._url}/api/jobs", params=params, depth=LIST_DEPTH)
            if answer.status_code in NO_ROUTE:
                raise NoJobsApi
            if answer.status_code != 200:
                raise StatusUnavailable(f"jobs: {answer.status_code} {excerpt(answer)}")
            body = json_of(answer)
            found = body.get("jobs")
            if not isinstance(found, list):
                raise StatusUnavailable(f"no list of jobs in {str(body)[:200]}")
            jobs += found
            if len(found) < PAGE:
                break
        return unfinished_in(jobs)

    async def _queue(self) -> dict[str, InProgress]:
        answer = await ask(self._http, "GET", f"{self._url}/queue", depth=QUEUE_DEPTH)
        return queue_in(json_of(answer))

    async def _in_history_or_queue(self, prompt_id: str) -> InProgress | Run | None:
        """Ask the history, the shared copy of the queue, the queue, and the history again.

        The last two in this order: a prompt moves from the queue to the history, never back.
        """
        if (run := await self._history(prompt_id)) is not None:
            return run
        if (waiting := (await self._recent()).get(prompt_id)) is not None:
            return waiting
        if (waiting := (await self._queue()).get(prompt_id)) is not None:
            return waiting
        return await self._history(prompt_id)

    async def _history(self, prompt_id: str) -> Run | None:
        answer = await ask(self._http, "GET", f"{self._url}/history/{prompt_id}", depth=HISTORY_DEPTH)
        if answer.status_code != 200:
            raise StatusUnavailable(f"history: {answer.status_code} {excerpt(answer)}")
        return run_in(json_of(answer), prompt_id)

    async def _position(self, prompt_id: str) -> int | None:
        """Return the position in the queue, or None if that would delay or fail the poll."""
        try:
            async with asyncio.timeout(POSITION_PATIENCE):
                place = (await self._recent()).get(prompt_id)
        except (StatusUnavailable, TimeoutError):
            return None
        return place.queue_position if place else None

    async def _recent(self) -> dict[str, InProgress]:
        """Return the unfinished prompts, at most a few seconds old. One request serves all polls."""
        if self._look is None or self._time() > self._look_until:
            self._look = asyncio.create_task(self.unfinished())
            self._look.add_done_callback(self._looked)
            self._look_until = self._time() + QUEUE_SECONDS
        return await asyncio.shield(self._look)

    def _looked(self, look: asyncio.Task[dict[str, InProgress]]) -> None:
        """Forget a failed copy; nothing may be waiting for its error any more."""
        if (look.cancelled() or look.exception()) and look is self._look:
            self.expire()


def _object_in(answer: httpx.Response) -> dict[str, Any]:
    try:
        return json_of(answer)
    except StatusUnavailable:
        if answer.status_code == 200:
            raise
        return {}

"""`/v1/jobs/{id}/events` and `/v1/users/me/events`: events as they happen"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import TypeAdapter, ValidationError

from contracts.base import Id, Model, Name, UserId
from contracts.wording import error_text
from services.notifier.broadcaster import Broadcaster
from services.notifier.job_stream import JobStream
from services.notifier.ports import Jobs, Submissions
from services.notifier.sse import SseEncoder
from services.notifier.streams import HEARTBEAT_SECONDS, EventStream, Stream, follow
from services.notifier.subscriber_queue import SubscriberQueue
from services.notifier.unknown_jobs import first_frames
from services.notifier.user_stream import UserStream
from shared.clock import Clock
from shared.http.header_text import header_text
from shared.http.problems import Refusal, problem_responses

Answers = dict[int | str, dict[str, Any]]
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_USER_ID: TypeAdapter[str] = TypeAdapter(UserId)


class Caller(Model):
    """The tenant and the user that a request comes from."""

    tenant: str
    user_id: str


def _identity(kind: TypeAdapter[str], header: str, query: str, values: tuple[str | None, str | None]) -> str:
    value = values[0] if values[0] is not None else values[1]
    if value is None:
        raise Refusal(401, f"The header {header} (or the query parameter '{query}') is required.")
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        wrong = error_text(error.errors()[0])
        raise Refusal(401, f"The header {header} (or the query parameter '{query}') {wrong}.") from None


async def caller_of(
    x_tenant_id: Annotated[str | None, Header(alias="X-Tenant-Id")] = None,
    x_user_id: Annotated[str | None, Header(alias="X-User-Id")] = None,
    tenant: Annotated[str | None, Query(description="For EventSource, which sets no headers.")] = None,
    user: Annotated[str | None, Query(description="For EventSource, which sets no headers.")] = None,
) -> Caller:
    return Caller(
        tenant=_identity(_NAME, "X-Tenant-Id", "tenant", (x_tenant_id, tenant)),
        user_id=_identity(_USER_ID, "X-User-Id", "user", (x_user_id and header_text(x_user_id), user)),
    )


async def _last_id(
    header: Annotated[str | None, Header(alias="Last-Event-ID", max_length=4000)] = None,
    last_event_id: Annotated[str | None, Query(max_length=4000)] = None,
    polyfill_id: Annotated[
        str | None, Query(alias="lastEventId", max_length=4000, include_in_schema=False)
    ] = None,
) -> str | None:
    """Return the id to resume after. Polyfills of `EventSource` name it `lastEventId` in the query."""
    return next((each for each in (header, last_event_id, polyfill_id) if each is not None), None)


CallerIdentity = Annotated[Caller, Depends(caller_of)]
LastId = Annotated[str | None, Depends(_last_id)]


def routes(
    broadcaster: Broadcaster,
    jobs: Jobs,
    submissions: Submissions,
    encoder: SseEncoder,
    now: Clock,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> APIRouter:
    """Return the routes of the two streams."""
    streams: Answers = {200: {"content": {"text/event-stream": {}}, "description": "Events as they happen"}}
    router = APIRouter(prefix="/v1", tags=["events"], responses=problem_responses(401, 422, 503))

    async def respond(
        stream: Stream, begin: Callable[[SubscriberQueue], Awaitable[list[bytes]]], *key: str
    ) -> Response:
        queue = broadcaster.join(key)  # before the documents are read, or events between would be lost
        leave = partial(broadcaster.leave, key, queue)
        try:
            first = await begin(queue)
        except BaseException:
            leave()
            raise
        if stream.ended and not first:
            leave()
            return Response(status_code=204)
        return EventStream(follow(stream, queue, first, heartbeat_seconds), leave)

    done: Answers = {204: {"description": "The job has ended and every event was sent: do not reconnect"}}
    done |= streams | problem_responses(404)

    @router.get("/jobs/{job_id}/events", response_class=Response, responses=done)
    async def job_events(job_id: Id, caller: CallerIdentity, last_id: LastId) -> Response:
        """A job's events. `id` is the event's `seq`; the stream ends with the job.

        A request that was answered with 202 can be followed at once. For an unknown job the answer waits
        up to 3 s, because its request may be on its way over Kafka; then it is 404.
        """
        stream = JobStream(jobs, encoder, job_id, caller.tenant, after=number(last_id))

        async def begin(queue: SubscriberQueue) -> list[bytes]:
            return await first_frames(stream, queue, submissions, job_id, caller.tenant)

        return await respond(stream, begin, job_id)

    @router.get("/users/me/events", response_class=Response, responses=streams)
    async def user_events(caller: CallerIdentity, last_id: LastId) -> Response:
        """The events of all the caller's jobs. `id` is opaque; a stream without one starts with snapshots."""
        subscriber = caller.tenant, caller.user_id
        stream = UserStream(jobs, encoder, *subscriber, cursor=last_id, now=now)
        return await respond(stream, lambda _: stream.catch_up(), *subscriber)

    return router


def number(last_id: str | None) -> int:
    """Return the number in a `Last-Event-ID`; 0 when there is none or it is not valid."""
    return int(last_id) if last_id and last_id.isascii() and last_id.isdigit() and len(last_id) < 10 else 0

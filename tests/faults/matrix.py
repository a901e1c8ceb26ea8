"""The fault matrix: what happens, at which provider, and how it must end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.base import Provider
from contracts.renders import Billed, RenderRequested
from services.gateways.runtime.attempt import State
from tests.fakes.adapters import Wrap
from tests.fakes.provider import a_cancel
from tests.faults.house import House

Story = Callable[[House, RenderRequested], Awaitable[None]]
"""Hands the command to the gateway, and does what else happens to it."""

NEVER = 60.0
LONG = {"latency_seconds": 30}
BROKEN_WORKFLOW = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "{{prefix}}"}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong. `behaviour` is the simulator's, `pace` overrides the short times of all rows."""

    name: str
    behaviour: dict[str, Any] = field(default_factory=dict)
    story: Story | None = None
    wrap: Wrap = lambda app: app
    pace: dict[str, Any] = field(default_factory=dict)
    timeout: float = 5.0
    closed: bool = False
    deadline: float = 300.0
    workflow: dict[str, Any] | None = None
    second_after: float = 0.0
    """So many seconds must lie between the first submission and the second."""
    webhooks: tuple[int, ...] = ()
    """What Fal's webhooks are answered; without any, all are lost on their way."""
    told: Billed | None = None
    """What the message says of the bill, where the ledger learned more afterwards."""


@dataclass(frozen=True)
class End:
    """The ledger's state, whether it was billed, and the message that was said."""

    state: State
    billed: Billed
    said: str


@dataclass(frozen=True)
class Row:
    """`sent`: submissions by the gateway. `taken`: submissions in the provider's books."""

    provider: Provider
    fault: Fault
    end: End
    sent: int
    taken: int

    @property
    def id(self) -> str:
        """As pytest names it."""
        return f"{self.provider}: {self.fault.name}"

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        end = self.end
        return (
            self.provider,
            self.fault.name,
            end.state,
            end.billed,
            end.said,
            str(self.sent),
            str(self.taken),
        )


def _asks(scope: Scope, method: str) -> bool:
    path: str = scope.get("path", "")
    return scope.get("method") == method and not path.startswith(("/_sim", "/.well-known"))


def _is_submit(scope: Scope) -> bool:
    return _asks(scope, "POST") and "/requests/" not in scope["path"]


def _is_result(scope: Scope) -> bool:
    return _asks(scope, "GET") and "/requests/" in scope["path"] and not scope["path"].endswith("/status")


def answering(status: int, where: Callable[[Scope], bool], **headers: str) -> Wrap:
    """Something before the provider answers by itself."""

    def wrap(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if not where(scope):
                return await app(scope, receive, send)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await Response("no", status, headers=named)(scope, receive, send)

        return answer

    return wrap


def answering_late(app: ASGIApp) -> ASGIApp:
    """A submission is taken at once, and answered when it has ended."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        taking = _is_submit(scope)
        await app(scope, receive, keep if taking else send)
        await asyncio.sleep(0.5 if taking else 0.0)
        for message in kept:
            await send(message)

    return answer


async def restart(house: House, command: RenderRequested) -> None:
    await house.deliver(command)
    await house.reach_running(command)
    await house.rig.forget()


async def restart_before_asking(house: House, command: RenderRequested) -> None:
    await house.deliver(command)
    await house.reach(command, "unknown")
    await house.rig.forget()
    await house.rig.behave(latency_seconds=0.02)


async def cancel_first(house: House, command: RenderRequested) -> None:
    await house.deliver(a_cancel(command))
    await house.deliver(command)


async def cancel_waiting(house: House, command: RenderRequested) -> None:
    await house.deliver(command)
    async with asyncio.timeout(10):
        while not (house.sent and house.entry(command)["state"] == "accepted"):
            await asyncio.sleep(0.005)
    await house.deliver(a_cancel(command))


async def cancel_running(house: House, command: RenderRequested) -> None:
    await house.deliver(command)
    await house.reach_running(command)
    await house.deliver(a_cancel(command))


async def wait_for_the_webhook(house: House, command: RenderRequested) -> None:
    await house.deliver(command)
    await house.end(command)
    await house.heard(1)


def submit(name: str, fault: str, **more: Any) -> Fault:
    """A one-shot fault of the simulator at the next submission."""
    behaviour = {"next_faults": (fault,)} | more.pop("behaviour", {})
    return Fault(name, behaviour, **more)


REFUSED = Fault("connect refused", closed=True)
DROPPED = submit("answer lost, accepted", "lose_answer")
HANGS = submit("hang after accept", "lose_answer", behaviour={"lose_answer_mode": "hang"}, timeout=0.5)
LOCKED = Fault("401, wrong credentials", wrap=answering(401, _is_submit))
INVALID = submit("422", "422")
LIMITED = submit("429, Retry-After 1 s", "429", second_after=1.0)
BROKE = submit("500, not accepted", "500")
BROKE_AFTER = submit("500, accepted", "accepted_500")
BUSY = submit("503, Retry-After 0 s", "503", behaviour={"retry_after_seconds": 0})
MALFORMED = submit("malformed JSON, accepted", "malformed_json")
TRUNCATED = submit("truncated body, accepted", "truncated")
FAILS = submit("job fails for good", "fail")
OUT_OF_MEMORY = submit("job fails, retryable", "oom")
FLAGGED = submit("flagged as nsfw", "nsfw")
RESTARTS = Fault("restart, memory lost", LONG, restart)
RESTARTS_EARLY = submit(
    "answer lost, then restart", "lose_answer", behaviour=LONG, story=restart_before_asking
)
CANCEL_FIRST = Fault("cancel before the command", story=cancel_first)
CANCEL_WAITING = submit(
    "cancel before it is sent", "429", behaviour={"retry_after_seconds": 30}, story=cancel_waiting
)
CANCEL_RUNNING = Fault("cancel while running", LONG, cancel_running)
CANCEL_IGNORED = Fault(
    "cancel ignored, image comes", {"cancel_is_ignored": True, "latency_seconds": 0.5}, cancel_running
)
TOO_LATE = Fault("deadline passed before sending", deadline=-1.0)
NODE_ERRORS = Fault("200 with node_errors", LONG, workflow=BROKEN_WORKFLOW)
BUSY_INSIDE = Fault("503 with a request id", wrap=answering(503, _is_submit, x_fal_request_id="r1"))
COMPLETED_AWAY = submit("COMPLETED failed, result 429", "oom", wrap=answering(429, _is_result))
SELDOM = {"first_poll": NEVER, "slowest_poll": NEVER}
TWICE = Fault("webhook twice", {"webhook_duplicates": 1}, pace=SELDOM, webhooks=(204, 204))
EARLY = Fault("webhook before the answer", wrap=answering_late, pace=SELDOM, webhooks=(204,))
ADOPTED = submit(
    "answer lost, webhook",
    "lose_answer",
    behaviour={"webhook_delay_seconds": 0.1},
    pace={"grace": NEVER},
    webhooks=(204,),
)
FORGED = Fault(
    "webhook, bad signature",
    {"webhook_bad_signature": True},
    wait_for_the_webhook,
    pace={"first_poll": 0.3, "slowest_poll": 0.3},
    webhooks=(401,),
)
TOO_LATE_WEBHOOK = submit(
    "webhook after it was given up",
    "lose_answer",
    behaviour={"webhook_delay_seconds": 1.0},
    story=wait_for_the_webhook,
    webhooks=(204,),
    told="unknown",
)
UNREPEATED = submit("answer lost, resubmit off", "lose_answer", pace={"resubmit_unknown": False})
OVERDUE = Fault("never ends", LONG, deadline=1.0, pace={"overdue": 0.0})

DONE = End("succeeded", "yes", "succeeded")
UNKNOWN = End("failed", "unknown", "failed: outcome_unknown, retryable")


def failed(code: str, billed: Billed = "no") -> End:
    return End("failed", billed, f"failed: {code}")


def again(code: str, billed: Billed = "no") -> End:
    """The dispatcher may make another attempt of it."""
    return End("failed", billed, f"failed: {code}, retryable")


def cancelled(billed: Billed) -> End:
    return End("cancelled", billed, "nothing")


MATRIX = (
    #   provider   what happens     how it ends                              sent, taken
    Row("modal", REFUSED, again("provider_unreachable"), 2, 0),
    Row("comfyui", REFUSED, again("provider_unreachable"), 2, 0),
    Row("fal", REFUSED, again("provider_unreachable"), 2, 0),
    Row("modal", DROPPED, DONE, 1, 1),
    Row("comfyui", DROPPED, DONE, 1, 1),
    Row("fal", DROPPED, UNKNOWN, 1, 1),
    Row("modal", HANGS, DONE, 1, 1),
    Row("comfyui", HANGS, DONE, 1, 1),
    Row("fal", HANGS, UNKNOWN, 1, 1),
    Row("modal", LOCKED, failed("provider_unauthorized"), 1, 0),
    Row("fal", LOCKED, failed("provider_unauthorized"), 1, 0),
    Row("modal", INVALID, failed("invalid_request"), 1, 0),
    Row("comfyui", INVALID, failed("invalid_request"), 1, 0),
    Row("fal", INVALID, failed("invalid_request"), 1, 0),
    Row("modal", LIMITED, DONE, 2, 1),
    Row("comfyui", LIMITED, DONE, 2, 1),
    Row("fal", LIMITED, DONE, 2, 1),
    Row("modal", BROKE, DONE, 2, 1),
    Row("comfyui", BROKE, failed("invalid_workflow"), 1, 0),
    Row("fal", BROKE, UNKNOWN, 1, 0),
    Row("modal", BROKE_AFTER, DONE, 1, 1),
    Row("comfyui", BROKE_AFTER, DONE, 1, 1),
    Row("fal", BROKE_AFTER, UNKNOWN, 1, 1),
    Row("modal", BUSY, DONE, 2, 1),
    Row("comfyui", BUSY, DONE, 2, 1),
    Row("fal", BUSY, DONE, 2, 1),
    Row("fal", BUSY_INSIDE, UNKNOWN, 1, 0),
    Row("modal", MALFORMED, DONE, 1, 1),
    Row("comfyui", MALFORMED, DONE, 1, 1),
    Row("fal", MALFORMED, UNKNOWN, 1, 1),
    Row("modal", TRUNCATED, DONE, 1, 1),
    Row("comfyui", TRUNCATED, DONE, 1, 1),
    Row("fal", TRUNCATED, UNKNOWN, 1, 1),
    Row("modal", FAILS, failed("provider_error", "yes"), 1, 1),
    Row("comfyui", FAILS, failed("provider_error", "yes"), 1, 1),
    Row("fal", FAILS, failed("provider_error", "no"), 1, 1),
    Row("modal", OUT_OF_MEMORY, again("provider_error", "yes"), 1, 1),
    Row("comfyui", OUT_OF_MEMORY, again("provider_error", "yes"), 1, 1),
    Row("fal", OUT_OF_MEMORY, again("provider_error", "no"), 1, 1),
    Row("fal", COMPLETED_AWAY, again("provider_error", "no"), 1, 1),
    Row("comfyui", NODE_ERRORS, failed("invalid_workflow", "yes"), 1, 1),
    Row("modal", FLAGGED, failed("nsfw", "yes"), 1, 1),
    Row("comfyui", FLAGGED, DONE, 1, 1),
    Row("fal", FLAGGED, failed("nsfw", "yes"), 1, 1),
    Row("modal", RESTARTS, again("lost", "unknown"), 1, 1),
    Row("comfyui", RESTARTS, again("lost", "no"), 1, 1),
    Row("fal", RESTARTS, again("lost", "unknown"), 1, 1),
    Row("modal", RESTARTS_EARLY, DONE, 2, 2),
    Row("comfyui", RESTARTS_EARLY, DONE, 2, 2),
    Row("modal", CANCEL_FIRST, cancelled("no"), 0, 0),
    Row("comfyui", CANCEL_FIRST, cancelled("no"), 0, 0),
    Row("fal", CANCEL_FIRST, cancelled("no"), 0, 0),
    Row("modal", CANCEL_WAITING, cancelled("no"), 1, 0),
    Row("comfyui", CANCEL_WAITING, cancelled("no"), 1, 0),
    Row("fal", CANCEL_WAITING, cancelled("no"), 1, 0),
    Row("modal", CANCEL_RUNNING, cancelled("yes"), 1, 1),
    Row("comfyui", CANCEL_RUNNING, cancelled("yes"), 1, 1),
    Row("fal", CANCEL_RUNNING, cancelled("unknown"), 1, 1),
    Row("modal", CANCEL_IGNORED, cancelled("yes"), 1, 1),
    Row("fal", CANCEL_IGNORED, cancelled("yes"), 1, 1),
    Row("modal", TOO_LATE, failed("deadline_exceeded"), 0, 0),
    Row("comfyui", TOO_LATE, failed("deadline_exceeded"), 0, 0),
    Row("fal", TOO_LATE, failed("deadline_exceeded"), 0, 0),
    Row("modal", OVERDUE, failed("lost", "unknown"), 1, 1),
    Row("comfyui", OVERDUE, failed("lost", "unknown"), 1, 1),
    Row("fal", OVERDUE, failed("lost", "unknown"), 1, 1),
    Row("fal", UNREPEATED, failed("outcome_unknown", "unknown"), 1, 1),
    Row("fal", TWICE, DONE, 1, 1),
    Row("fal", EARLY, DONE, 1, 1),
    Row("fal", ADOPTED, DONE, 1, 1),
    Row("fal", FORGED, DONE, 1, 1),
    Row("fal", TOO_LATE_WEBHOOK, End("failed", "yes", UNKNOWN.said), 1, 1),
)

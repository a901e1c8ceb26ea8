"""A provider with scripted answers that keeps a log of its calls."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Any, TypeVar

from contracts.base import Provider as ProviderName
from contracts.generation import RenderSpec
from contracts.renders import Output, RenderCancel, RenderRequested
from services.gateways.kit.dialects import Dialect
from services.gateways.kit.inputs import LINK_SECONDS, Inputs
from services.gateways.kit.provider import (
    AttemptRequest,
    AttemptStatus,
    Completed,
    InProgress,
    Payload,
    Provider,
    Rejected,
    SubmissionRef,
)
from services.gateways.runtime.lifecycle.attempt import request_of
from shared.clock import now
from shared.ids import uuid7

T = TypeVar("T")
OUTPUT = Output(url="https://media.example/0.png")
DONE = Completed((OUTPUT,), seed=7, seconds=1.5)
QUEUED = InProgress("queued", queue_position=3)
RUNNING = InProgress("running", percent=40)


class FakeProvider(Provider):
    """Each list has the next answers or errors; an empty list means success."""

    name: ProviderName = "fal"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.preparations: list[Exception] = []
        self.submissions: list[Exception] = []
        self.statuses: list[AttemptStatus | Exception] = []
        self.reads: Dialect = "prose"
        self.before_submit: Callable[[AttemptRequest], None] = lambda request: None

    @property
    def submitted(self) -> int:
        """Number of submissions, which cost money."""
        return self.calls.count("submit")

    def dialect(self, request: AttemptRequest) -> Dialect:
        return self.reads

    async def prepare(self, request: AttemptRequest) -> Payload:
        self.calls.append("prepare")
        _next(self.preparations, None)
        return {}

    async def submit(self, request: AttemptRequest, payload: Payload) -> SubmissionRef:
        self.before_submit(request)
        self.calls.append("submit")
        _next(self.submissions, None)
        return {"id": f"external-{request.attempt_id}"}

    async def poll(self, request: AttemptRequest, ref: SubmissionRef) -> AttemptStatus:
        self.calls.append("poll")
        return _next(self.statuses, DONE)

    async def cancel(self, request: AttemptRequest, ref: SubmissionRef) -> None:
        self.calls.append("cancel")


class FakeLookupProvider(FakeProvider):
    """A provider that can be asked whether it has a submission."""

    def __init__(self, *, recoverable: bool = False) -> None:
        super().__init__()
        self.recoverable = recoverable
        self.findings: list[SubmissionRef | Exception | None] = []

    async def find(self, request: AttemptRequest) -> SubmissionRef | None:
        self.calls.append("find")
        return _next(self.findings, None)

    def is_recoverable(self, ref: SubmissionRef) -> bool:
        return self.recoverable


def _next(answers: list[Any], otherwise: T) -> T:
    answer = answers.pop(0) if answers else otherwise
    if isinstance(answer, Exception):
        raise answer
    return answer


class FakeInputs(Inputs):
    """Images by asset id, LoRAs by key; links lead below `base`."""

    def __init__(self, base: str = "https://bucket.example", images: dict[str, bytes] | None = None) -> None:
        self.base = base
        self.images = images or {}
        self.loras: dict[str, bytes] = {}
        self.read: list[str] = []
        """The LoRAs that were read, in order."""
        self.link_seconds: list[int] = []

    async def image_url(self, tenant: str, asset_id: str, seconds: int = LINK_SECONDS) -> str:
        self.link_seconds.append(seconds)
        await self.image(tenant, asset_id)
        return f"{self.base}/{asset_id}?signature=s"

    async def image(self, tenant: str, asset_id: str) -> tuple[str, bytes]:
        if asset_id not in self.images:
            raise Rejected("input_not_found", f"there is no stored image {asset_id!r}")
        return asset_id.replace("/", "-"), self.images[asset_id]

    async def lora_url(self, tenant: str, key: str) -> str:
        return f"{self.base}/{key}?signature=s"

    async def lora(self, tenant: str, key: str) -> AsyncGenerator[bytes, None]:
        if key not in self.loras:
            raise Rejected("input_not_found", f"there is no LoRA {key!r}")
        self.read.append(key)
        for start in range(0, len(self.loras[key]), 7):
            await asyncio.sleep(0)
            yield self.loras[key][start : start + 7]


def a_spec(**fields: Any) -> RenderSpec:
    known = {"index": 0, "label": "shot", "prompt": "a lighthouse", "seed": 11, "width": 64, "height": 64}
    return RenderSpec.model_validate(known | fields)


def a_command(n: int = 1, provider: ProviderName = "fal", **fields: Any) -> RenderRequested:
    job_id = fields.pop("job_id", uuid7())
    known = {
        "attempt_id": f"{job_id}/0/{n}",
        "render_id": f"{job_id}/0",
        "job_id": job_id,
        "tenant": "acme",
        "provider": provider,
        "spec": a_spec(),
        "deadline_at": now() + timedelta(minutes=5),
    }
    return RenderRequested.model_validate(known | fields)


def a_cancel(command: RenderRequested) -> RenderCancel:
    return RenderCancel(
        attempt_id=command.attempt_id,
        render_id=command.render_id,
        job_id=command.job_id,
        tenant=command.tenant,
        provider=command.provider,
        reason="not wanted any more",
    )


def an_attempt_request(provider: ProviderName = "fal", **fields: Any) -> AttemptRequest:
    """Return the input of an adapter; fields of the spec and of the command by name."""
    of_command = {name: fields.pop(name) for name in ("model", "workflow", "deadline_at") if name in fields}
    return request_of(a_command(1, provider, spec=a_spec(**fields), **of_command))

"""One request of the fal queue: its states, and its views in fal's API."""

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from deploy.simulators.behaviour import Outcome
from deploy.simulators.submission_log import Submission

NAMESPACES: Final = ("workflows", "comfy")
REQUEST_PATH: Final = re.compile(
    r"(?P<app>[^?]+?)/requests/(?P<id>[^/]+)(?P<tail>/status/stream|/status|/cancel|/response|)"
)


@dataclass(frozen=True)
class Answer:
    """Response of the result URL: a model's output, or an error in one of fal's two formats."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_error(self) -> bool:
        return self.status >= 400

    @property
    def error(self) -> str:
        detail = self.body.get("detail")
        if isinstance(detail, list):
            return f"Invalid status code: {self.status}"
        return str(detail)

    @property
    def error_type(self) -> str:
        detail = self.body.get("detail")
        if isinstance(detail, list) and detail:
            return str(detail[0].get("type", "unknown"))
        return str(self.body.get("error_type", "unknown"))


def model_error(kind: str, message: str, *loc: str | int, given: Any = None) -> Answer:
    """Return the response of a model that rejected its input, which is final."""
    item = {"loc": ["body", *loc], "msg": message, "type": kind, "input": given}
    return Answer(422, {"detail": [item]}, {"X-Fal-Error-Type": kind, "X-Fal-Retryable": "false"})


def platform_error(status: int, kind: str, message: str, *, retryable: bool) -> Answer:
    headers = {"X-Fal-Error-Type": kind, "X-Fal-Retryable": str(retryable).lower()}
    return Answer(status, {"detail": message, "error_type": kind}, headers)


CANCELLED: Final = platform_error(
    499, "client_cancelled", "Request was cancelled by the client", retryable=False
)
TIMED_OUT: Final = Answer(
    504,
    {"detail": "Request timed out", "error_type": "request_timeout"},
    {"X-Fal-Error-Type": "request_timeout", "X-Fal-Request-Timeout-Type": "user"},
)


@dataclass(eq=False)
class FalJob:
    id: str
    endpoint: str
    base: str
    """Scheme and host of the caller's request; all returned URLs start with it."""
    arguments: dict[str, Any]
    outcome: Outcome
    submission: Submission
    webhook: str | None = None
    start_within: float | None = None
    arrival: int = 0
    state: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"] = "IN_QUEUE"
    answer: Answer | None = None
    logs: list[dict[str, str]] = field(default_factory=list)
    submitted: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def app(self) -> str:
        """Owner and alias, after a namespace if there is one. SDKs build their URLs from it."""
        parts = self.endpoint.split("/")
        return "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])

    @property
    def url(self) -> str:
        return f"{self.base}/{self.app}/requests/{self.id}"

    def urls(self) -> dict[str, str]:
        return {
            "request_id": self.id,
            "response_url": self.url,
            "status_url": f"{self.url}/status",
            "cancel_url": f"{self.url}/cancel",
        }

    def log(self, message: str) -> None:
        now = datetime.now(UTC).isoformat()
        self.logs.append({"message": message, "timestamp": now, "level": "INFO", "source": "USER"})

    def status(self, *, position: int, with_logs: bool) -> dict[str, Any]:
        view: dict[str, Any] = {"status": self.state, **self.urls()}
        if self.state == "IN_QUEUE":
            return view | {"queue_position": position}
        view["logs"] = self.logs if with_logs else None
        if self.answer is not None:
            view["metrics"] = {"inference_time": round(self.seconds, 4)}
            if self.answer.is_error:
                view |= {"error": self.answer.error, "error_type": self.answer.error_type}
        return view

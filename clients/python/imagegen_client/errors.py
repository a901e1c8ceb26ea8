"""Errors of the client. Each of its methods raises these two and no others for what a server does."""

import httpx

from contracts.http import Problem
from imagegen_client.urls import without_credentials


class ImagegenError(Exception):
    """Base of all errors of this package."""


class ServerUnavailable(ImagegenError):
    """A server did not answer, answered 503, or answered with something that is not part of its API.

    The request was repeated for `patience_seconds` before. Its outcome is unknown; every method may be
    called again, with the same `idempotency_key` where it takes one.
    """

    def __init__(self, server: str, url: str, reason: str) -> None:
        self.server = server
        """`api`, `notifier` or `storage`."""
        self.url = without_credentials(url)
        self.reason = reason
        super().__init__(f"the {server} at {self.url} is unavailable: {reason}")


class RequestRejected(ImagegenError):
    """A server understood the request and refused it. Repeating it changes nothing."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        """The problem document (RFC 9457): status, detail, and the errors of single fields."""
        errors = "; ".join(f"{error.field}: {error.message}" for error in problem.errors)
        super().__init__(errors or problem.detail)

    @property
    def status(self) -> int:
        """HTTP status of the answer, 400 to 599."""
        return self.problem.status


class ServerNotConfigured(ImagegenError):
    """The client was made without the URL of the server that an operation needs."""

    def __init__(self, server: str) -> None:
        super().__init__(f"this operation needs the {server}: Client({server}_url=...)")


def reason_of(error: httpx.HTTPError) -> str:
    """Return a transport error in a few words; some have no text of their own."""
    return str(error) or type(error).__name__

"""Typed client of the image-generation platform: submit requests, follow jobs, fetch results."""

from imagegen_client.client import Client
from imagegen_client.errors import (
    ImagegenError,
    RequestRejected,
    ServerNotConfigured,
    ServerUnavailable,
)
from imagegen_client.events import EventStream, LinkedJobEvent

__all__ = [
    "Client",
    "EventStream",
    "ImagegenError",
    "LinkedJobEvent",
    "RequestRejected",
    "ServerNotConfigured",
    "ServerUnavailable",
]

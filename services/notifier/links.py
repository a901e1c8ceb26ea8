"""Signed links to results, added to events when they are sent over SSE or to webhooks."""

from datetime import timedelta

from contracts.http import EventLinks
from contracts.jobs import JobEvent
from services.notifier.ports import Links
from shared.clock import Clock


class LinkedEvents:
    """Writes events as JSON. An event with an image or a LoRA gets `links`, signed now."""

    def __init__(self, links: Links, now: Clock, link_seconds: int) -> None:
        self._links = links
        self._now = now
        self._link_seconds = link_seconds

    async def json(self, event: JobEvent) -> str:
        """Return an event as JSON, with its links."""
        return await self._linked(event, event.model_dump_json())

    async def relinked(self, body: str) -> str:
        """Return a stored event with links that are valid from now; its other fields stay as they are."""
        return await self._linked(JobEvent.model_validate_json(body), body)

    async def _linked(self, event: JobEvent, body: str) -> str:
        result = (event.image.stored or event.image.lora) if event.image else None
        if result is None:
            return body
        links = EventLinks(
            url=await self._links.signed_url(result.key, self._link_seconds),
            expires_at=self._now() + timedelta(seconds=self._link_seconds),
        )
        return f'{body.rstrip()[:-1]},"links":{links.model_dump_json()}}}'

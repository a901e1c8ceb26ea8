"""Takeover: continue the attempts of a process whose lease has expired."""

from collections.abc import AsyncIterator

import structlog

from services.gateways.kit.crash_points import crash_point
from services.gateways.runtime.ledger.takeover import Takeover
from services.gateways.runtime.lifecycle.attempt import Attempt
from services.gateways.runtime.scheduling.engine import Engine
from shared.mongo import IN_PAGE, Collection
from shared.mongo.leases import Lease

log = structlog.get_logger()


async def take_over(
    attempts: Collection, expired: str, lease: Lease, engine: Engine, poll_within: float
) -> None:
    """Take over the attempts of an expired owner, as many as there is room for.

    The rest follows with the next check of leases, here or in another process.
    """
    ledger, taken = Takeover(attempts), 0
    async for page in _pages(ledger.held_by(expired)):
        if engine.full:
            break
        taken += await _take_over_page(ledger, page, expired, lease, engine, poll_within)
    else:
        await lease.forget(expired)
    if taken:
        log.info("attempts_taken_over", expired=expired, attempts=taken)


async def _take_over_page(
    ledger: Takeover, page: list[Attempt], expired: str, lease: Lease, engine: Engine, poll_within: float
) -> int:
    owner = lease.owner
    taken = await ledger.take_over(page, expired, owner)
    if taken:
        crash_point("during_takeover")
    if owner != lease.owner:
        return 0  # our own lease expired meanwhile: a successor takes over everything again
    engine.add(taken, poll_within=poll_within)
    return len(taken)


async def _pages(attempts: AsyncIterator[Attempt]) -> AsyncIterator[list[Attempt]]:
    page: list[Attempt] = []
    async for attempt in attempts:
        page.append(attempt)
        if len(page) == IN_PAGE:
            yield page
            page = []
    if page:
        yield page

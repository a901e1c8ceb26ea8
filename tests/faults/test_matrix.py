"""Each row of the matrix through a whole gateway process: how it ends, and what was paid."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from contracts.renders import RenderFailed
from services.gateways.runtime.provider import Pace
from shared.clock import now
from tests.fakes.provider import a_command
from tests.faults.house import a_house
from tests.faults.matrix import MATRIX, End, Row

SHORT = {
    "slots": 10,
    "first_poll": 0.01,
    "slowest_poll": 0.05,
    "slowest_poll_with_hints": 0.05,
    "submit_timeout": 0.3,
    "grace": 0.3,
    "bury_after": 0.0,
    "not_taken_tries": 2,
}


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.id)
async def test_row(
    row: Row, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    record_property("row", [MATRIX.index(row), *row.cells])
    fault = row.fault
    lost = {} if fault.webhooks else {"webhook_lost_rate": 1.0}
    deadline = now() + timedelta(seconds=fault.deadline)
    command = a_command(provider=row.provider, workflow=fault.workflow, deadline_at=deadline)
    async with a_house(
        row.provider,
        monkeypatch,
        pace=Pace(**(SHORT | fault.pace)),
        timeout=fault.timeout,
        closed=fault.closed,
        wrap=fault.wrap,
        behaviour=lost | fault.behaviour,
    ) as house:
        await (fault.story(house, command) if fault.story else house.deliver(command))
        await house.end(command)
        if fault.webhooks:
            await house.heard(len(fault.webhooks))
            assert set(await house.webhooks()) == set(fault.webhooks), "a refused one comes again"
    entry = house.entry(command)
    said = " and ".join(house.said()) or "nothing"
    assert End(entry["state"], entry["billed"], said) == row.end
    told = {failure.billed for failure in house.publisher.said(RenderFailed)}
    assert told <= {fault.told or row.end.billed}
    assert (house.check_sent(), house.taken) == (row.sent, row.taken), house.sent
    if fault.second_after:
        assert house.sent[1].at - house.sent[0].at >= fault.second_after

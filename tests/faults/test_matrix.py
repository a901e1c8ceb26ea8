"""Each row of the matrix through a whole gateway process: how it ends, and what was paid."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from services.gateways.runtime.provider import Pace
from shared.clock import now
from tests.fakes.provider import a_command
from tests.faults.accounting import discrepancies, packed
from tests.faults.house import a_house
from tests.faults.matrix import MATRIX
from tests.faults.rows import End, Row

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
    pace = Pace(**(SHORT | fault.pace))
    async with a_house(row.provider, monkeypatch, fault=fault, pace=pace) as house:
        deadline = now() + timedelta(seconds=fault.deadline)
        command = a_command(provider=row.provider, workflow=fault.workflow, deadline_at=deadline)
        await (fault.story(house, command) if fault.story else house.deliver(command))
        await house.end(command)
        if fault.webhooks:
            await house.heard(len(fault.webhooks))
            assert set(await house.webhooks()) == set(fault.webhooks), "a refused one comes again"
    entry, account = house.entry(command), house.account
    said = ", then ".join(house.said(command)) or "nothing"
    assert End(entry["state"], entry["billed"], said) == row.end
    assert {failure.billed for failure in house.failures(command)} <= {fault.told or row.end.billed}
    of_render = account.of_render(command.render_id)
    assert (len(of_render.sent), len(of_render.taken)) == (row.sent, row.taken), house.sent
    if fault.second_after:
        assert house.sent[1].at - house.sent[0].at >= fault.second_after
    assert house.between.unused == [], "the fault happened"
    assert house.between.complaints == []
    assert sum(not key.endswith(".webp") for key in house.store.bucket.objects) == said.count("stored")
    assert house.strangers == [], "nobody else is asked anything"
    assert {submission["asked"] for submission in house.submission_log} <= {1}, (
        "nothing had to be de-duplicated"
    )
    record_property("account", packed(account))
    assert discrepancies(account) == []

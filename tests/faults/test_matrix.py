"""Each row of the matrix through a whole gateway process: how it ends, and what was paid."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from services.gateways.runtime.lifecycle.limits import ProviderLimits
from shared.clock import now
from tests.fakes.provider import a_command
from tests.faults.accounting import discrepancies, packed
from tests.faults.harness import a_process_harness
from tests.faults.matrix import MATRIX
from tests.faults.rows import End, Row

SHORT = {
    "slots": 10,
    "first_poll_interval": 0.01,
    "max_poll_interval": 0.05,
    "max_poll_interval_streaming": 0.05,
    "submit_timeout": 0.3,
    "lease_seconds": 0.1,
    "grace_period": 0.3,
    "takeover_patience": 0.0,
    "max_submit_tries": 2,
}


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.id)
async def test_row(
    row: Row, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    record_property("row", [MATRIX.index(row), *row.cells])
    fault = row.fault
    limits = ProviderLimits(**(SHORT | fault.limits))
    async with a_process_harness(row.provider, monkeypatch, fault=fault, limits=limits) as harness:
        deadline = now() + timedelta(seconds=fault.deadline)
        command = a_command(provider=row.provider, workflow=fault.workflow, deadline_at=deadline)
        await (fault.story(harness, command) if fault.story else harness.deliver(command))
        await harness.end(command)
        if fault.webhooks:
            await harness.heard(len(fault.webhooks))
            assert set(await harness.webhooks()) == set(fault.webhooks), "a refused one comes again"
    entry, account = harness.entry(command), harness.account
    said = ", then ".join(harness.said(command)) or "nothing"
    assert End(entry["state"], entry["billed"], said) == row.end
    assert {failure.billed for failure in harness.failures(command)} <= {fault.told or row.end.billed}
    of_render = account.of_render(command.render_id)
    assert (len(of_render.sent), len(of_render.taken)) == (row.sent, row.taken), harness.sent
    if fault.second_after:
        assert harness.sent[1].at - harness.sent[0].at >= fault.second_after
    assert harness.between.unused == [], "the fault happened"
    assert harness.between.complaints == []
    assert sum(not key.endswith(".webp") for key in harness.store.bucket.objects) == said.count("stored")
    assert harness.unknown_ids == [], "nobody else is asked anything"
    assert {submission["asked"] for submission in harness.submission_log} <= {1}, (
        "nothing had to be de-duplicated"
    )
    record_property("account", packed(account))
    assert discrepancies(account) == []

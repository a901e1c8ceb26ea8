"""Job documents that earlier versions wrote can be read."""

from contracts.jobs import Cost, Job
from tests.fakes.jobs import a_job


def test_a_job_without_a_cost_yet_has_none() -> None:
    stored = a_job().model_dump() | {"cost": None}
    assert Job.model_validate(stored).cost == Cost()


def test_a_cost_that_is_known_is_kept() -> None:
    stored = a_job(cost=Cost(attempts=1, usd=0.02)).model_dump()
    assert Job.model_validate(stored).cost == Cost(attempts=1, usd=0.02)

"""Job documents of earlier versions are readable."""

from contracts.jobs import Cost, Job
from tests.fakes.jobs import a_job


def test_a_null_cost_is_read_as_no_cost() -> None:
    stored = a_job().model_dump() | {"cost": None}
    assert Job.model_validate(stored).cost == Cost()


def test_a_known_cost_is_kept() -> None:
    stored = a_job(cost=Cost(attempts=1, usd=0.02)).model_dump()
    assert Job.model_validate(stored).cost == Cost(attempts=1, usd=0.02)

"""Failures of attempts whose output cannot be stored."""

import pytest

from services.result_store.bad_images import ImageCorrupt, WrongSize
from services.result_store.image_store import failure
from tests.fakes.results import a_result


@pytest.mark.parametrize("error", [ImageCorrupt("cut off"), WrongSize("1x1")])
def test_the_failure_of_an_output_has_the_cost_that_its_provider_reported(error: Exception) -> None:
    assert isinstance(error, ImageCorrupt | WrongSize)
    failed = failure(a_result(cost_usd=0.03), error)
    assert (failed.billed, failed.cost_usd) == ("yes", 0.03)

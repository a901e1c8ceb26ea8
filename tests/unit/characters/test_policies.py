"""The policies that ship with the service."""

from contracts.requests import SHEET_MIN_COMPLETED_RATIO
from services.characters.policies import load_policies
from services.dispatcher.policies import load_policies as load_dispatcher_policies


def test_a_sheet_is_complete_by_the_same_share_in_a_job_and_in_a_chain() -> None:
    chain, job = load_policies().sheet, load_dispatcher_policies().types["character_sheet"]
    assert chain.min_completed_ratio == job.min_completed_ratio == SHEET_MIN_COMPLETED_RATIO
    assert [chain.min_images(poses) for poses in (1, 7, 10)] == [1, 5, 7]

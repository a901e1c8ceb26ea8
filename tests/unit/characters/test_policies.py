"""The policies that ship with the service."""

from services.characters.policies import load_policies
from services.dispatcher.policies import load_policies as load_dispatchers


def test_a_sheet_is_good_enough_by_the_same_share_whether_one_job_drew_it_or_several() -> None:
    ours, theirs = load_policies().sheet, load_dispatchers().types["character_sheet"]
    assert ours.min_completed_ratio == theirs.min_completed_ratio
    assert [ours.min_images(poses) for poses in range(1, 11)] == [theirs.min_images(n) for n in range(1, 11)]

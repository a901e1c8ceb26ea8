"""Character sheets as training data: captions, seeds, and redrawn images."""

import re
from typing import Any

import pytest

from contracts.captions import PLACEHOLDER
from contracts.characters import Appearance
from contracts.generation import GenerationPlanned, RenderSpec
from prompts.catalogue import default_catalogue
from prompts.explicit import find_explicit
from prompts.planner import plan
from prompts.seeds import seed_from
from tests.unit.prompts.examples import AT, BASE_IMAGE, CHARACTER, MIA, planned, reasons, requested

CATALOGUE = default_catalogue()
LEARNED = ("hair", "eye", "skin", "freckle", "woman", "japanese", "27", "year", "face")


def _sheet(**request: Any) -> tuple[RenderSpec, ...]:
    return planned("character_sheet", **request).renders


def test_a_caption_has_the_varying_features_and_none_that_the_lora_must_learn() -> None:
    for render in _sheet(count=10):
        assert render.caption.startswith(f"{PLACEHOLDER}, ")
        words = re.sub(r"looking \w+|facing the camera|eye level|open eyes", "", render.caption)
        assert not any(word in words for word in LEARNED), words
        pose = next(pose for pose in CATALOGUE.poses if pose.name == render.label)
        for varies in (pose.framing, pose.angle, pose.expression, pose.outfit, pose.background, pose.light):
            assert varies in render.caption


def test_the_appearance_of_the_character_does_not_change_a_caption() -> None:
    other = MIA.model_copy(update={"appearance": Appearance(hair_color="blue")})
    captions = [render.caption for render in _sheet()]
    assert captions == [render.caption for render in _sheet(character=other, prompt="a blue wig")]


def test_only_sheets_have_captions() -> None:
    for type_ in ("base_image", "studio", "profile_pictures", "lora_training"):
        assert {render.caption for render in planned(type_).renders} == {""}


def test_explicit_clothes_of_a_pose_require_permission() -> None:
    explicit = CATALOGUE.nsfw.explicit
    safe, allowed = _sheet(count=10), _sheet(count=10, include_nsfw=True)
    assert not any(find_explicit(render.prompt + render.caption, explicit) for render in safe)
    bare = [render.label for render in allowed if find_explicit(render.caption, explicit)]
    assert bare == [pose.name for pose in CATALOGUE.poses if pose.nsfw]


def test_the_seeds_of_a_sheet_are_derived_from_the_face() -> None:
    another_job = requested("character_sheet").model_copy(update={"job_id": CHARACTER})
    later = plan(another_job, character=None, requested_at=AT, catalogue=CATALOGUE)
    assert isinstance(later, GenerationPlanned)
    assert later.renders == _sheet()
    assert _sheet()[0].seed == seed_from(BASE_IMAGE)


def test_a_seed_in_the_request_gives_another_sheet() -> None:
    assert _sheet(seed=5)[0].seed == 5
    assert len({render.seed for render in (*_sheet(seed=5), *_sheet())}) == 14


@pytest.mark.parametrize("only", [(2, 5), (5, 2), (0,), tuple(range(10))])
@pytest.mark.parametrize("seed", [None, 7])
def test_redrawn_images_equal_those_of_the_whole_sheet(only: tuple[int, ...], seed: int | None) -> None:
    whole = _sheet(count=10, seed=seed)
    again = _sheet(count=10, seed=seed, only=only)
    assert [render.index for render in again] == list(range(len(only)))
    assert list(again) == [
        whole[place].model_copy(update={"index": index}) for index, place in enumerate(sorted(only))
    ]


def test_a_plan_marks_a_partial_sheet() -> None:
    assert planned("character_sheet", only=(2,)).partial
    assert not planned("character_sheet").partial


def test_positions_beyond_the_sheet_and_duplicates_are_reported() -> None:
    assert reasons("character_sheet", only=(3, 7, 3)) == {
        "request.only.1": "must be less than count 7, is 7; counted from 0",
        "request.only.2": "image 3 is requested twice",
    }

"""The data files are complete and safe, and their errors are reported."""

import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import get_args

import pytest

from contracts.requests import Aspect
from prompts.adults import find_minor
from prompts.catalogue import (
    default_catalogue,
    entry_of,
    load_catalogue,
)
from prompts.data_files import CatalogueInvalid
from prompts.explicit import find_explicit

CATALOGUE = default_catalogue()
FILES = resources.files("prompts") / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with resources.as_file(FILES) as files:
        return Path(shutil.copytree(files, tmp_path / "data"))


def test_the_catalogue_has_enough_entries() -> None:
    assert len(CATALOGUE.scenes) >= 20
    assert len(CATALOGUE.outfits) >= 20
    assert {"photorealistic", "anime", "cinematic"} < set(CATALOGUE.styles)
    assert len(CATALOGUE.styles) >= 6
    assert list(CATALOGUE.qualities) == ["draft", "standard", "high", "ultra"]
    assert len(CATALOGUE.profile_sets) >= 3


def test_the_first_seven_poses_cover_all_sides_and_distances() -> None:
    poses = CATALOGUE.poses[:7]
    angles = " ".join(pose.angle for pose in poses)
    framings = " ".join(pose.framing for pose in poses)
    assert all(side in angles for side in ("front", "three-quarter", "profile", "behind"))
    assert all(distance in framings for distance in ("close-up", "half-body", "full-body"))


@pytest.mark.parametrize("count", range(7, 11))
def test_a_sheet_of_any_size_is_balanced(count: int) -> None:
    """A LoRA of an unbalanced sheet would learn that the person is always far away or always smiles."""
    poses = CATALOGUE.poses[:count]
    near = [pose for pose in poses if "close-up" in pose.framing]
    far = [pose for pose in poses if "full-body" in pose.framing]
    smiling = [pose for pose in poses if "smile" in pose.expression or "laugh" in pose.expression]
    for part in (near, far, smiling):
        assert 2 <= len(part) <= count / 2
    assert {"three-quarter view from the left", "three-quarter view from the right"} <= {
        pose.angle for pose in poses
    }


def test_only_the_person_is_the_same_in_two_poses() -> None:
    for varied in ("outfit", "background", "light", "expression", "pose"):
        assert len({getattr(pose, varied) for pose in CATALOGUE.poses}) == len(CATALOGUE.poses), varied


def test_every_aspect_has_a_size() -> None:
    sizes = {aspect: (size.width, size.height) for aspect, size in CATALOGUE.aspects.items()}
    assert sizes == {
        "square": (1024, 1024),
        "portrait": (896, 1152),
        "landscape": (1152, 896),
        "wide": (1344, 768),
        "tall": (768, 1344),
    }
    assert set(sizes) == set(get_args(Aspect))


def test_outfits_of_profile_shots_are_known() -> None:
    named = {shot.outfit for known in CATALOGUE.profile_sets for shot in known.shots if shot.outfit}
    assert all(entry_of(CATALOGUE.outfits, outfit) for outfit in named)


def _safe_wording() -> Iterator[str]:
    for entries in (CATALOGUE.scenes, CATALOGUE.outfits, CATALOGUE.styles, CATALOGUE.qualities):
        yield from (entry.text for entry in entries.values())
    for pose in CATALOGUE.poses:
        yield ", ".join(pose.model_dump(exclude={"name", "nsfw"}).values())
    for known in CATALOGUE.profile_sets:
        yield from (", ".join((shot.framing, shot.expression, shot.background)) for shot in known.shots)
    yield from (CATALOGUE.framing.base_image, *CATALOGUE.framing.candidates)
    yield from CATALOGUE.person.genders.values()


def test_default_texts_are_neither_explicit_nor_about_minors() -> None:
    for text in _safe_wording():
        assert find_explicit(text, CATALOGUE.nsfw.explicit) is None, text
        assert find_minor(text) is None, text


def test_explicit_texts_of_the_catalogue_are_marked() -> None:
    entries = [*CATALOGUE.scenes.values(), *CATALOGUE.outfits.values()]
    explicit = [entry.nsfw for entry in entries if entry.nsfw]
    explicit += [pose.nsfw for pose in CATALOGUE.poses if pose.nsfw]
    assert explicit
    for text in explicit:
        assert find_explicit(text, CATALOGUE.nsfw.explicit), text
        assert find_minor(text) is None, text


@pytest.mark.parametrize(
    ("file", "old", "new", "key"),
    [
        ("scenes.yaml", "  text: on a forest path", "  txt: on a forest path", "forest.text"),
        ("aspects.yaml", "width: 1344", "width: broken", "wide.width"),
        ("aspects.yaml", "square:", "cube:", "cube"),
        ("poses.yaml", "name: walking", "name: profile-right", "profile-right"),
        ("profile_sets.yaml", "title: Classic", "titel: Classic", "0.title"),
        ("defaults.yaml", "style: photorealistic", "style: dull", "base_image.style"),
        ("defaults.yaml", "studio:", "atelier:", "atelier"),
        ("outfits.yaml", "casual:", "sportswear:", "sportswear"),
        ("styles.yaml", "photorealistic:", "photorealistic: [", ""),
    ],
)  # fmt: skip
def test_a_mistake_names_its_file_and_key(folder: Path, file: str, old: str, new: str, key: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CatalogueInvalid) as raised:
        load_catalogue(folder)
    said = str(raised.value)
    assert key in said
    assert file in said


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "nsfw.yaml").unlink()
    with pytest.raises(CatalogueInvalid, match=r"nsfw\.yaml"):
        load_catalogue(folder)


def test_a_missing_aspect_is_named(folder: Path) -> None:
    file = folder / "aspects.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text("\n".join(text.splitlines()[:-1]), encoding="utf-8")
    with pytest.raises(CatalogueInvalid, match=r"aspects\.yaml: tall: is missing"):
        load_catalogue(folder)


def test_the_catalogue_is_read_once() -> None:
    assert default_catalogue() is CATALOGUE

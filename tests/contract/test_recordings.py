"""Every recorded sample is held against our adapters; one that nobody plays fails here."""

from pathlib import Path

import pytest

from tests.contract import comfyui_recordings, fal_recordings
from tests.contract.recorded import SAMPLES

PLAYERS = {"comfyui": comfyui_recordings, "fal": fal_recordings}
RECORDINGS = sorted(SAMPLES.rglob("*"))


@pytest.mark.parametrize(
    "path",
    [path for path in RECORDINGS if path.is_file()],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
async def test_the_adapter_understands_what_was_recorded(path: Path) -> None:
    player = PLAYERS[path.parent.name]
    assert path.stem in player.STORIES, "a recording that no adapter is held to"
    await player.played(path.stem)


def test_there_is_a_recording_for_every_story() -> None:
    for name, player in PLAYERS.items():
        assert {path.stem for path in (SAMPLES / name).iterdir()} == set(player.STORIES)

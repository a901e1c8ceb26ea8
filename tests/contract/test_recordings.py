"""Every recorded sample is compared with the adapters. A sample without a test fails here."""

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
    assert path.stem in player.STORIES, "a recording without a test"
    await player.played(path.stem)


def test_every_recording_is_played() -> None:
    for name, player in PLAYERS.items():
        assert {path.stem for path in (SAMPLES / name).iterdir()} == set(player.STORIES)

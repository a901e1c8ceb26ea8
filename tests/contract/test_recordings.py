"""Every recorded sample is played to an adapter; a sample without a player fails here."""

from pathlib import Path

import pytest

from tests.contract import comfyui_recordings, fal_recordings
from tests.contract.recording import SAMPLES

PLAYERS = {"comfyui": comfyui_recordings, "fal": fal_recordings}
RECORDINGS = sorted(SAMPLES.rglob("*"))


@pytest.mark.parametrize(
    "path",
    [path for path in RECORDINGS if path.is_file()],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
async def test_the_adapter_understands_a_recording(path: Path) -> None:
    player = PLAYERS[path.parent.name]
    assert path.stem in player.SCENARIOS, "no test plays this recording"
    await player.play(path.stem)


def test_every_player_has_a_recording() -> None:
    for name, player in PLAYERS.items():
        assert {path.stem for path in (SAMPLES / name).iterdir()} == set(player.SCENARIOS)

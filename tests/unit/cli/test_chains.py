"""Text of chains and characters on the terminal, and selections with follow-up requests."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from clients.cli.chain_report import chain_with_steps, character_lines
from clients.cli.errors import WrongInput
from clients.cli.submissions import selection
from contracts.characters import Character, Lora, Sheet
from contracts.http_chains import ChainStepView, ChainView, CharacterView
from contracts.jobs import JobError
from contracts.requests import StudioFollowUp, TrainingFollowUp
from tests.fakes.builders import CHAIN, CHARACTER, JOB, START

FACE = f"{JOB}/1"


def shown(view: ChainView) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(chain_with_steps(view))
    return capture.get()


def test_each_step_is_a_line_with_its_newest_job() -> None:
    error = JobError(code="provider_failed", message="nobody could do it")
    images = (f"{JOB}/0", f"{JOB}/1")
    sheet = ChainStepView(
        type="character_sheet", state="failed", job_ids=(CHAIN, JOB), images=images, error=error
    )
    steps = (sheet, ChainStepView(type="lora_training", state="waiting"))
    view = ChainView(
        id=CHAIN, character_id=CHARACTER, user_id="ann", state="failed", steps=steps, created=START
    )
    text = shown(view)
    assert f"failed  chain  {CHAIN}  character {CHARACTER}" in text
    line = next(line for line in text.splitlines() if "character sheet" in line)
    assert ("2 images, 2 tries" in line, JOB in line, CHAIN in line) == (True, True, False)
    assert "LoRA training" in text
    assert "character sheet: provider_failed: nobody could do it" in text


def test_a_character_shows_its_face_its_sheet_and_its_lora() -> None:
    lora = Lora(key="acme/lora", trigger_word="qdvhzmwn", base_model="flux", providers=("fal",))
    view = CharacterView(
        id=CHARACTER,
        user_id="ann",
        character=Character(name="Mara", age=27, base_image_id=FACE, lora=lora, trigger_word="qdvhzmwn"),
        sheet=Sheet(job_id=JOB, images=(f"{JOB}/0",), at=START),
        lora_state="failed",
        lora_error="no_provider: none",
        created=START,
        updated=START,
    )
    text = "\n".join(character_lines(view))
    for fact in (FACE, f"1 images, job {JOB}", "failed: no_provider: none", "acme/lora", "usable at fal"):
        assert fact in text


def test_follow_up_requests_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "then.json"
    file.write_text(json.dumps([{"type": "lora_training"}, {"type": "studio", "scene": "beach"}]))
    chosen = selection(FACE, nsfw=True, character=None, then=file)
    assert chosen.then == (TrainingFollowUp(), StudioFollowUp(scene="beach"))
    assert (chosen.include_nsfw, chosen.character) == (True, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("{}", "must contain a JSON list"), ('[{"type": "base_image"}]', "--then.0: unknown type 'base_image'")],
)
def test_an_invalid_follow_up_request_is_reported(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "then.json"
    file.write_text(text)
    with pytest.raises(WrongInput, match=expected):
        selection(FACE, nsfw=False, character=None, then=file)

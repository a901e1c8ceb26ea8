"""imagegen prompt shows the prompts of a request without a stack."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from clients.cli.app import run

MARA_OPTIONS = ["--name", "Mara", "--age", "27"]
FACE = "0190a6a0-0000-7000-8000-0000000000b1/0"
MARA = {"name": "Mara", "age": 27}
JOB = "0190a6a0-0000-7000-8000-000000000001"


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["prompt", *arguments]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def test_every_image_is_shown_with_its_prompts_seed_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    output = output_of(capsys, "studio", *MARA_OPTIONS, "--scene", "beach", "--seed", "42", "--count", "2")
    first, second = output.split("\n\n")
    assert first.startswith("0  1: 896 x 1152, seed 42\n   prose (")
    assert "A 27-year-old adult. On a sandy beach, " in first
    assert ": (adult:1.2), 27 years old, sandy beach, " in first
    assert "   negative: child, " in first
    assert second.startswith("1  2: 896 x 1152, seed 6607762075843647\n")


def test_removed_and_cut_words_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    long = "topless, " + ", ".join(f"detail number {n} of very many" for n in range(90))
    output = output_of(capsys, "studio", *MARA_OPTIONS, "--prompt", long)
    assert "   removed: topless\n" in output
    assert "   cut from prose: detail number " in output
    assert "   cut from tags: detail number " in output


def test_single_images_of_a_sheet_are_shown_with_their_captions(capsys: pytest.CaptureFixture[str]) -> None:
    output = output_of(
        capsys, "character-sheet", *MARA_OPTIONS, "--base-image", FACE, "--only", "6", "--only", "3"
    )
    assert [line for line in output.splitlines() if not line.startswith("   ")] == [
        "0  profile-right: 896 x 1152, seed 1572995893249912",
        "",
        "1  walking: 896 x 1152, seed 3381883611298743",
    ]
    assert output.count("   caption: {trigger}, ") == 2


@pytest.mark.parametrize("alone", [True, False])
def test_a_request_is_read_from_a_file_alone_or_in_the_form_for_kafka(
    alone: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request: dict[str, Any] = {"type": "base_image", "character": MARA, "count": 1}
    published = {"job_id": JOB, "tenant": "acme", "user_id": "u1", "request": request}
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request if alone else published))
    [image] = json.loads(output_of(capsys, "--request", str(file), "--json"))
    assert (image["label"], image["removed"]) == ("candidate 1", [])
    assert image["seed"] == (7097883329191060 if alone else 6404640610585523)


def test_a_request_in_the_form_for_http_is_read_with_all_its_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    then, notify = [{"type": "lora_training"}], {"webhook_url": "https://shop.example/hook"}
    sheet = {"type": "character_sheet", "character": MARA, "base_image_id": FACE, "only": [2]}
    file = tmp_path / "request.json"
    file.write_text(json.dumps(sheet | {"job_id": JOB, "then": then, "notify": notify}))
    posted = output_of(capsys, "--request", str(file), "--json")
    published = {"job_id": JOB, "tenant": "acme", "user_id": "u1", "request": sheet}
    file.write_text(json.dumps(published))
    assert posted == output_of(capsys, "--request", str(file), "--json")


def test_a_request_is_read_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = {"type": "profile_pictures", "character": MARA, "set_id": "dating"}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(request)))
    assert output_of(capsys, "--request", "-").startswith("0  first-look: 1024 x 1024, seed ")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"type": "studio", "character": MARA, "count": 11}, "count: must be at most 10, got 11"),
        ({"type": "studio", "character": MARA | {"age": 12}}, "character.age: must be at least 18"),
        (
            {"type": "studio", "scen": "beach", "character": MARA},
            "scen: is not a field here; did you mean 'scene'?",
        ),
        (
            {"request": {"type": "studio", "character": MARA}, "then_": []},
            "then_: is not a field here; did you mean 'then'?",
        ),
        (
            {"type": "studio", "character": MARA, "notify": {"webhook_url": "http://:80/"}},
            "notify.webhook_url: must name a host",
        ),
        (
            {"type": "studio", "character": MARA, "then": [{"type": "lora_training"}]},
            "then: is not a field here",
        ),
        ({"type": "poem"}, "type: unknown type 'poem'"),
        ({"type": "studio", "character_id": JOB}, "stored characters are not available here"),
        (
            {"type": "lora_training", "character_id": JOB, "images": [FACE] * 4, "trigger_word": "tok"},
            "a training has no prompts",
        ),
        ([], "must contain a JSON object"),
    ],
)
def test_an_invalid_request_is_reported_with_its_error(
    request_: object, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request_))
    assert run(["prompt", "--request", str(file)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert reason in output.err


def test_the_command_without_a_request_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "imagegen prompt [OPTIONS] COMMAND" in output_of(capsys)

"""Arguments of the command line: errors are one line, before any request is made."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from clients.cli.app import app, run
from clients.cli.errors import WrongInput
from clients.cli.option_groups import CharacterOptions, ImageOptions
from clients.cli.submissions import submission
from contracts.http import ProfilePicturesSubmission, StudioSubmission

FACE = "0193f2a0-0000-7000-8000-000000000001/0"
MARA = ["--name", "Mara", "--age", "27"]
ID = "0193f2a0-0000-7000-8000-000000000001"
IMAGE = ["--image", f"{ID}/0"]
MORE_IMAGES = ["--image", f"{ID}/1", "--image", f"{ID}/2", "--image", f"{ID}/3"]
TRAINING = ["--character-id", ID, "--trigger-word", "mara7", *IMAGE]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["generate", "studio"], "give --name and --age, or --character FILE"),
        (
            ["generate", "studio", *MARA, "--count", "11"],
            "'--count': must be at most 10",
        ),
        (
            ["generate", "studio", *MARA, "--provider", "mine"],
            "'mine' is not one of 'modal', ",
        ),
        (
            ["generate", "studio", *MARA, "--base-image", "face.png"],
            "--base-image: must be the id of",
        ),
        (
            ["generate", "studio", "--name", "M", "--age", "27", "--prompt", "a\0"],
            "--prompt: must not contain",
        ),
        (["generate", "studio", *MARA, "--workflow", "none.json"], "none.json: No such file"),
        (["generate", "character-sheet", *MARA], "Missing option '--base-image'"),
        (["generate", "profile-pictures", *MARA], "Missing option '--set'"),
        (["generate", "studio", *MARA], "no stack is running: start one with 'make up'"),
        (["generate", "lora-training", *TRAINING], "--image: must have at least 4 items, got 1"),
        (
            ["generate", "lora-training", *TRAINING, *MORE_IMAGES],
            "no stack is running: start one with 'make up'",
        ),
        (["jobs"], "no stack is running: start one with 'make up'"),
        (["topics"], "no stack is running: start one with 'make up'"),
        (
            ["--patience", "0", "--api-url", "http://127.0.0.1:9", "jobs"],
            "the api at http://127.0.0.1:9 is unavailable: ",
        ),
        (["--api-url", "localhost:8080", "jobs"], "--api-url: must begin with http:// or https://"),
        (["dlq", "drop"], "give the ids of dead letters, or --all"),
        (["jobs", "--status", "gone"], "'gone' is not one of"),
        (["select", "c", "face.png"], "BASE_IMAGE_ID: must be the id of an image"),
        (["select", "c", FACE, "--then", "none.json"], "none.json: No such file"),
        (["select", "c", FACE], "no stack is running: start one with 'make up'"),
        (["chain", "abc"], "no stack is running: start one with 'make up'"),
        (["chain", "cancel", "abc"], "no stack is running: start one with 'make up'"),
        (["chain", "cancel"], "Missing argument 'ID'"),
        (["generate", "studio", *MARA, "--count", "x"], "'--count': must be a whole number"),
        (["jobs", "--limit", "0"], "'--limit': must be at least 1"),
        (
            ["generate", "studio", *MARA, "--out", ""],
            "'--out': must name a folder; write . for the current one",
        ),
        (["demo", "--out", " "], "'--out': must name a folder"),
        (["demo", "--state", ""], "'--state': must name a folder"),
        (["generate", "studio", *MARA, "--out", "README.md"], "--out README.md: is a file, not a folder"),
        (["generate", "studio", *MARA, "--out", "README.md/a/b"], "README.md is a file, not a folder"),
        (
            ["generate", "base-image", *MARA, "--out", "/proc/images"],
            "--out /proc/images: cannot be written to",
        ),
        (["generate", "studio", *MARA, "--out", "a" * 300], "cannot be written to (File name too long)"),
        (
            ["generate", "lora-training", *TRAINING, *MORE_IMAGES, "--out", "README.md"],
            "--out README.md: is a file, not a folder",
        ),
        (["generate", "studio", *MARA, "--webhook", "shop.example"], "--webhook: must be an address"),
        (["generate", "studio", *MARA, "--character", "."], ".: Is a directory"),
        (["demo", "--out", "README.md"], "--out README.md: is a file, not a folder"),
        (["demo", "--state", "README.md"], "--state README.md: is a file, not a folder"),
        (["--state", "README.md", "up"], "--state README.md: is a file, not a folder"),
        (["--state", "README.md", "jobs"], "--state README.md: is a file, not a folder"),
    ],
)
def test_an_error_is_one_line_on_standard_error(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The exit code is 2 for wrong usage, else 1."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("a file")
    expected_code = 1 if "no stack" in expected or "unavailable" in expected else 2
    assert run(arguments) == expected_code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("imagegen: ")
    assert expected in output.err
    assert output.err.count("\n") == 1


def commands_of(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command below this one with its words."""
    for name, inner in getattr(command, "commands", {}).items():
        yield (*path, name), inner
        yield from commands_of(inner, (*path, name))


COMMANDS = dict(commands_of(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_and_option_has_help(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    command = COMMANDS[words]
    assert command.help
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", "")] == []
    assert run([*words, "--help"]) == 0
    assert "Usage: imagegen" in capsys.readouterr().out


def test_all_kinds_of_images_share_their_options() -> None:
    shared = {"character", "age", "prompt", "workflow", "out", "wait"}
    for kind in ("base-image", "character-sheet", "studio", "profile-pictures"):
        assert shared <= {parameter.name for parameter in COMMANDS["generate", kind].params}


def test_options_take_precedence_over_the_character_file(tmp_path: Path) -> None:
    file = tmp_path / "mara.json"
    known = {"name": "Mara", "age": 27, "appearance": {"hair_color": "red", "eye_color": "green"}}
    file.write_text(json.dumps(known))
    options = CharacterOptions(character=file, age="thirty", hair_color="black")
    request = submission(StudioSubmission, options, ImageOptions(nsfw=True), base_image_id=None, count=2)
    assert request.character is not None
    assert (request.character.name, request.character.age) == ("Mara", "thirty")
    assert request.character.appearance.hair_color == "black"
    assert request.character.appearance.eye_color == "green"
    assert (request.count, request.include_nsfw) == (2, True)


def test_a_base_image_becomes_the_face_of_the_character() -> None:
    image = "0193f2a0-0000-7000-8000-000000000001/0"
    options = CharacterOptions(name="Mara", age="27")
    request = submission(
        ProfilePicturesSubmission, options, ImageOptions(), base_image_id=image, set_id="classic"
    )
    assert request.character is not None
    assert request.character.base_image_id == image


@pytest.mark.parametrize(("text", "expected"), [("{", "Expecting"), ("[1]", "must contain a JSON object")])
def test_the_error_of_an_invalid_file_begins_with_its_name(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text(text)
    with pytest.raises(WrongInput, match=expected) as failed:
        submission(StudioSubmission, CharacterOptions(name="M", age="27"), ImageOptions(workflow=file))
    assert str(failed.value).startswith(str(file))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"name": "\xff"}', "is not valid JSON: not valid UTF-8 at byte 10"),
        (b"{'name'}", "is not valid JSON: Expecting property name enclosed in double quotes at character 1"),
        (b'{"n": ' * 5000, "is not valid JSON: nested too deeply"),
        (b"[]", "must contain a JSON object"),
    ],
)
def test_a_file_that_cannot_be_read_is_described_in_the_words_of_the_platform(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, words: str
) -> None:
    file = tmp_path / "character.json"
    file.write_bytes(content)
    assert run(["generate", "studio", "--character", str(file)]) == 2
    assert words in capsys.readouterr().err

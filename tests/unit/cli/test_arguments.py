"""The command line: one clear line for whatever is wrong, before anything is sent."""

import json
from pathlib import Path

import pytest

from clients.cli.app import run
from clients.cli.errors import WrongInput
from clients.cli.options import Look, Person
from clients.cli.requests import submission
from contracts.http import ProfilePicturesSubmission, StudioSubmission

FACE = "0193f2a0-0000-7000-8000-000000000001/0"
WHO = ["--name", "Mara", "--age", "27"]
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
            ["generate", "studio", *WHO, "--count", "11"],
            "'--count': Input should be less than",
        ),
        (
            ["generate", "studio", *WHO, "--provider", "mine"],
            "'mine' is not one of 'modal', ",
        ),
        (
            ["generate", "studio", *WHO, "--base-image", "face.png"],
            "--base-image: must be the id of",
        ),
        (
            ["generate", "studio", "--name", "M", "--age", "27", "--prompt", "a\0"],
            "--prompt: must not contain",
        ),
        (["generate", "studio", *WHO, "--workflow", "none.json"], "none.json: No such file"),
        (["generate", "character-sheet", *WHO], "Missing option '--base-image'"),
        (["generate", "profile-pictures", *WHO], "Missing option '--set'"),
        (["generate", "studio", *WHO], "no stack is running: make up"),
        (["generate", "lora-training", *TRAINING], "--image: must have at least 4 items, got 1"),
        (["generate", "lora-training", *TRAINING, *MORE_IMAGES], "no stack is running: make up"),
        (["jobs"], "no stack is running: make up"),
        (["topics"], "no stack is running: make up"),
        (
            ["--patience", "0", "--api-url", "http://127.0.0.1:9", "jobs"],
            "the api at http://127.0.0.1:9 does not answer",
        ),
        (["jobs", "--status", "gone"], "'gone' is not one of"),
        (["select", "c", "face.png"], "BASE_IMAGE_ID: must be the id of an image"),
        (["select", "c", FACE, "--then", "none.json"], "none.json: No such file"),
        (["select", "c", FACE], "no stack is running: make up"),
        (["chain", "abc"], "no stack is running: make up"),
        (["chain", "cancel", "abc"], "no stack is running: make up"),
        (["chain", "cancel"], "Missing argument 'ID'"),
        (["generate", "studio", *WHO, "--out", "README.md"], "--out README.md: is a file, not a folder"),
        (["generate", "studio", *WHO, "--out", "README.md/a/b"], "README.md is a file, not a folder"),
        (
            ["generate", "base-image", *WHO, "--out", "/proc/images"],
            "--out /proc/images: cannot be written to",
        ),
        (["generate", "studio", *WHO, "--out", "a" * 300], "cannot be written to (File name too long)"),
        (
            ["generate", "lora-training", *TRAINING, *MORE_IMAGES, "--out", "README.md"],
            "--out README.md: is a file, not a folder",
        ),
        (["generate", "studio", *WHO, "--webhook", "shop.example"], "--webhook: must be an address"),
        (["generate", "studio", *WHO, "--character", "."], ".: Is a directory"),
        (["demo", "--out", "README.md"], "--out README.md: is a file, not a folder"),
        (["demo", "--state", "README.md"], "--state README.md: is a file, not a folder"),
        (["--state", "README.md", "up"], "--state README.md: is a file, not a folder"),
        (["--state", "README.md", "jobs"], "--state README.md: is a file, not a folder"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Expect an empty stdout and no traceback; exit code 2 where the command line is wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("a file")
    expected_code = 1 if "no stack" in expected or "does not answer" in expected else 2
    assert run(arguments) == expected_code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("imagegen: ")
    assert expected in said.err
    assert said.err.count("\n") == 1


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Also each kind of image, with the options that they share."""
    for command in (
        "demo",
        "job",
        "jobs",
        "cancel",
        "character",
        "select",
        "chain",
        "topics",
        "up",
        "down",
        "status",
    ):
        assert run([command, "--help"]) == 0
    for kind in ("base-image", "character-sheet", "studio", "profile-pictures"):
        assert run(["generate", kind, "--help"]) == 0
        said = capsys.readouterr().out
        assert "--character" in said
        assert "--no-wait" in said


def test_options_win_over_the_character_file(tmp_path: Path) -> None:
    """The file says who it is, the options what differs this time."""
    file = tmp_path / "mara.json"
    known = {"name": "Mara", "age": 27, "appearance": {"hair_color": "red", "eye_color": "green"}}
    file.write_text(json.dumps(known))
    person = Person(character=file, age="thirty", hair_color="black")
    asked = submission(StudioSubmission, person, Look(nsfw=True), base_image_id=None, count=2)
    assert asked.character is not None
    assert (asked.character.name, asked.character.age) == ("Mara", "thirty")
    assert asked.character.appearance.hair_color == "black"
    assert asked.character.appearance.eye_color == "green"
    assert (asked.count, asked.include_nsfw) == (2, True)


def test_a_base_image_becomes_the_face_of_the_character() -> None:
    """Studio and profile pictures take it from there."""
    image = "0193f2a0-0000-7000-8000-000000000001/0"
    person = Person(name="Mara", age="27")
    asked = submission(ProfilePicturesSubmission, person, Look(), base_image_id=image, set_id="classic")
    assert asked.character is not None
    assert asked.character.base_image_id == image


@pytest.mark.parametrize(("text", "expected"), [("{", "Expecting"), ("[1]", "must hold one JSON object")])
def test_a_broken_file_is_named(text: str, expected: str, tmp_path: Path) -> None:
    """With what is wrong in it."""
    file = tmp_path / "flow.json"
    file.write_text(text)
    with pytest.raises(WrongInput, match=expected) as failed:
        submission(StudioSubmission, Person(name="M", age="27"), Look(workflow=file))
    assert str(failed.value).startswith(str(file))

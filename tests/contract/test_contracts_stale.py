"""The published files agree with the models."""

from pathlib import Path

import pytest

from contracts.__main__ import main, stale, write
from contracts.publish import documents


def test_the_published_files_agree_with_the_models() -> None:
    files = stale()
    assert not files, f"run `python -m contracts` and commit the result; stale: {', '.join(files)}"


def test_the_same_models_give_the_same_bytes() -> None:
    assert documents() == documents()


def test_check_lists_stale_files_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    edited, orphan, missing = (
        tmp_path / "asyncapi.yaml",
        tmp_path / "schemas" / "gone.v1.json",
        tmp_path / "schemas" / "job.due.v1.json",
    )
    edited.write_text("asyncapi: 2.0.0\n")
    orphan.write_text("{}\n")
    missing.unlink()
    assert main(["--check"], tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        "stale: contracts/asyncapi.yaml",
        "stale: contracts/schemas/gone.v1.json",
        "stale: contracts/schemas/job.due.v1.json",
    ]
    assert (edited.read_text(), orphan.exists(), missing.exists()) == ("asyncapi: 2.0.0\n", True, False)


def test_writing_updates_files_and_removes_those_of_no_message(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "schemas" / "gone.v1.json").write_text("{}\n")
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    assert not (tmp_path / "schemas" / "gone.v1.json").exists()

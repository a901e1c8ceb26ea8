"""Deletion of the output folder: only one that an earlier run of the benchmark made is deleted."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.out_folder import MARKER, ForeignFolder, prepare


@pytest.mark.parametrize("parts", [[], ["--quick"], ["--parts", "rounds"]])
def test_a_folder_with_other_files_is_rejected_and_left_unchanged(tmp_path: Path, parts: list[str]) -> None:
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("three years of work")
    run = CliRunner().invoke(app, ["--out", str(tmp_path), *parts])
    assert run.exit_code == 2
    [line] = run.stderr.splitlines()
    assert str(tmp_path) in line
    assert "was not made by the benchmark" in line
    assert thesis.read_text() == "three years of work"
    assert list(tmp_path.iterdir()) == [thesis]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_or_a_link_is_rejected(tmp_path: Path, kind: str) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    prepare(elsewhere)
    if kind == "file":
        out.write_text("a file")
    else:
        out.symlink_to(elsewhere)
    with pytest.raises(ForeignFolder, match="is not a folder"):
        prepare(out)
    assert (elsewhere / MARKER).exists()


def test_an_empty_folder_and_one_of_an_earlier_run_are_accepted(tmp_path: Path) -> None:
    prepare(tmp_path / "new" / "deep")
    for out in (tmp_path / "new" / "deep", tmp_path / "empty"):
        out.mkdir(exist_ok=True)
        prepare(out)
        (out / "results.json").write_text("{}")
        prepare(out)
        assert [path.name for path in out.iterdir()] == [MARKER]

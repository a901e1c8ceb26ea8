"""The check of the language rules reads the files it is meant to read."""

from pathlib import Path

from tests.language.__main__ import not_rewritten, python_files, report, unneeded

BAD = '"""What is due."""\n'


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BAD, encoding="utf-8")


def test_hidden_and_generated_folders_are_skipped(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "b/c.py", ".venv/d.py", "build/e.py", "out/f.py", "g.txt")

    assert [str(path.relative_to(tmp_path)) for path in python_files(tmp_path)] == ["a.py", "b/c.py"]


def test_a_violation_is_reported_with_its_file_and_line(tmp_path: Path) -> None:
    write(tmp_path, "api/jobs.py")

    assert report(tmp_path, [tmp_path]) == ["api/jobs.py:1: docstring begins with 'What'"]


def test_a_prefix_without_violations_needs_no_exemption(tmp_path: Path) -> None:
    write(tmp_path, "api/jobs.py", "tests/test_api_jobs.py")

    found = report(tmp_path, [tmp_path])

    assert unneeded(["api/", "tests/test_api", "tests/test_other"], found) == ["tests/test_other"]


def test_nothing_is_exempt_without_the_setting(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n", encoding="utf-8")

    assert not_rewritten(tmp_path) == []

"""Training: pictures, a dataset on disk, one command, weights."""

import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from PIL import Image

from deploy.modal.downloads import Downloads
from deploy.modal.pictures import UnreadableImage
from deploy.modal.training import (
    WEIGHTS,
    BadPictures,
    Run,
    TrainingFailed,
    command,
    percent_in,
    read_archive,
    run_streaming,
    train,
    write_dataset,
)
from tests.modal_app.fakes import A_LORA, training_input


def a_picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "JPEG")
    return file.getvalue()


def a_zip(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", ".").replace("_", "/"), data)
    return file.getvalue()


def downloads(answer: bytes, folder: Path) -> Downloads:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=answer))
    return Downloads(httpx.Client(transport=transport, verify=False), folder)


def script(*lines: str, code: int = 0, weights: bytes | None = A_LORA) -> Run:
    """Return a stand-in for the training script."""

    def run(arguments: list[str], on_line: Callable[[str], None]) -> int:
        made = next(value for value in arguments if value.startswith("--output_dir="))
        folder = Path(made.partition("=")[2])
        folder.mkdir()
        if weights is not None:
            (folder / WEIGHTS).write_bytes(weights)
        for line in lines:
            on_line(line)
        return code

    return run


def trained(tmp_path: Path, run: Run) -> tuple[Path, list[float]]:
    reported: list[float] = []
    request = training_input()
    path = train(request, "flux", tmp_path, downloads(a_picture(), tmp_path), reported.append, run)
    return path, reported


def test_a_training_returns_weights_and_reports_percents(tmp_path: Path) -> None:
    run = script("Loading: 100%|█| 2/2", "Steps:  12%|█ | 36/300 [00:10<01:20]", "Steps: 100%|██| 300/300")
    path, reported = trained(tmp_path, run)
    assert path.read_bytes() == A_LORA
    assert reported == [12.0, 100.0]


@pytest.mark.parametrize(
    ("run", "retryable"),
    [
        (script("ValueError: no", code=1), False),
        (script("torch.OutOfMemoryError: CUDA out of memory", code=1), True),
        (script("done", weights=None), False),
    ],
)
def test_a_failed_script_reports_its_last_lines(tmp_path: Path, run: Run, retryable: bool) -> None:
    with pytest.raises(TrainingFailed) as raised:
        trained(tmp_path, run)
    assert raised.value.retryable is retryable
    assert "exit code" in str(raised.value)


def test_every_picture_gets_a_caption_with_the_trigger_word(tmp_path: Path) -> None:
    pairs = [(a_picture(), ""), (a_picture(), "a smile"), (a_picture(), "MIA7 laughs")]
    write_dataset(pairs, "mia7", tmp_path / "dataset")
    lines = (tmp_path / "dataset" / "metadata.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["mia7", "mia7, a smile", "MIA7 laughs"]
    assert [json.loads(line)["file_name"] for line in lines] == ["0000.png", "0001.png", "0002.png"]


def test_captions_are_read_from_text_files_beside_the_pictures_of_a_zip() -> None:
    archive = a_zip(b__jpg=a_picture(), a__png=a_picture(), a__txt=b" mia7 smiles\n", x__md=b"")
    assert [caption for _, caption in read_archive(archive)] == ["mia7 smiles", ""]


@pytest.mark.parametrize("archive", [b"", b"PK no zip", a_zip(readme__txt=b"nothing")])
def test_an_archive_without_pictures_is_rejected(archive: bytes) -> None:
    with pytest.raises(BadPictures):
        read_archive(archive)


def test_an_undecodable_picture_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage):
        write_dataset([(b"<html>", "")], "mia7", tmp_path / "dataset")


def test_no_text_becomes_an_option_of_the_command(tmp_path: Path) -> None:
    request = training_input(trigger_word="--push_to_hub")
    arguments = command(request, "flux", tmp_path, tmp_path)
    assert "--instance_prompt=--push_to_hub" in arguments
    assert "--push_to_hub" not in arguments
    assert {"--rank=16", "--max_train_steps=300", "--caption_column=text"} <= set(arguments)


@pytest.mark.parametrize("line", ["", "Map: 50%", "Loading checkpoint shards:  50%", "Steps: done"])
def test_other_progress_bars_are_ignored(line: str) -> None:
    assert percent_in(line) is None


def test_a_real_process_reports_its_progress_bars_line_by_line() -> None:
    reported: list[str] = []
    code = "import sys; sys.stderr.write('Steps: 1%\\rSteps: 2%\\r'); print('end'); sys.exit(3)"
    assert run_streaming([sys.executable, "-c", code], reported.append) == 3
    assert {"Steps: 1%\n", "Steps: 2%\n", "end\n"} == set(reported)


def test_a_cancellation_leaves_no_process_behind() -> None:
    def cancel(line: str) -> None:
        raise KeyboardInterrupt

    code = "import time; print('up', flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        run_streaming([sys.executable, "-c", code], cancel)

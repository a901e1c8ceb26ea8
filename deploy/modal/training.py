"""Train a Flux LoRA on captioned pictures with diffusers' DreamBooth script under accelerate."""

import io
import json
import re
import subprocess
import sys
import zipfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from contracts.captions import training_caption
from contracts.modal_app import ModalTrainingInput
from deploy.modal.downloads import LARGEST_ARCHIVE, LARGEST_IMAGE, Downloads
from deploy.modal.failures import CallFailed
from deploy.modal.pictures import open_image

SCRIPT: Final = "/opt/diffusers/examples/dreambooth/train_dreambooth_lora_flux.py"
WEIGHTS: Final = "pytorch_lora_weights.safetensors"
PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
MAX_PICTURES: Final = 200
STEPS: Final = re.compile(r"Steps:\s+(\d+)%")
KEPT_LINES: Final = 20

Run = Callable[[list[str], Callable[[str], None]], int]
"""Runs a command, passes each line of its output to the callback, returns its exit code."""


class BadPictures(CallFailed):
    """The archive or its pictures cannot be used for training."""


class TrainingFailed(CallFailed):
    """The script ended without weights. The message has the last lines of its output."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


def train(
    request: ModalTrainingInput,
    base_model: str,
    folder: Path,
    downloads: Downloads,
    progress: Callable[[float], None],
    run: Run,
) -> Path:
    """Train and return the weights file, below `folder`."""
    dataset, made = folder / "dataset", folder / "lora"
    write_dataset(pictures(request, downloads), request.trigger_word, dataset)
    last: deque[str] = deque(maxlen=KEPT_LINES)

    def on_line(line: str) -> None:
        percent = percent_in(line)
        if percent is None:
            last.append(line.rstrip())
        else:
            progress(percent)

    code = run(command(request, base_model, dataset, made), on_line)
    if code != 0 or not (made / WEIGHTS).exists():
        words = "\n".join(last)
        raise TrainingFailed(f"exit code {code}: {words[-800:]}", retryable="OutOfMemoryError" in words)
    return made / WEIGHTS


def pictures(request: ModalTrainingInput, downloads: Downloads) -> Iterable[tuple[bytes, str]]:
    """Return each picture with its caption."""
    if request.images_zip_url:
        return read_archive(downloads.read(request.images_zip_url, LARGEST_ARCHIVE))
    return ((downloads.read(image.url), image.caption) for image in request.images)


def read_archive(archive: bytes) -> list[tuple[bytes, str]]:
    """Return the pictures of an archive. Limits apply to actual sizes, not to those in its directory."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened_archive:
            names = sorted(name for name in opened_archive.namelist() if _is_picture(name))
            if not 1 <= len(names) <= MAX_PICTURES:
                raise BadPictures(f"the archive has {len(names)} pictures; 1 to {MAX_PICTURES} are required")
            return [(_member(opened_archive, name), _caption(opened_archive, name)) for name in names]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise BadPictures(f"the archive cannot be read: {error}") from error


def write_dataset(pairs: Iterable[tuple[bytes, str]], trigger_word: str, dataset: Path) -> None:
    """Write a folder for `datasets`: pictures, and a caption for each in metadata.jsonl.

    The trigger word is added to captions without it, which would otherwise teach nothing about it.
    """
    dataset.mkdir(parents=True)
    lines = []
    for number, (data, caption) in enumerate(pairs):
        name = f"{number:04}.png"
        open_image(data).save(dataset / name)
        text = training_caption(caption, trigger_word)
        lines.append(json.dumps({"file_name": name, "text": text}))
    (dataset / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def command(request: ModalTrainingInput, base_model: str, dataset: Path, made: Path) -> list[str]:
    """Return the command line. Each value is glued to its option, so that no text can become an option."""
    options = {
        "pretrained_model_name_or_path": base_model,
        "dataset_name": dataset,
        "caption_column": "text",
        "instance_prompt": request.trigger_word,
        "output_dir": made,
        "rank": request.rank,
        "max_train_steps": request.steps,
        "learning_rate": request.learning_rate,
        "resolution": request.resolution,
        "seed": request.seed,
        "mixed_precision": "bf16",
        "train_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "lr_scheduler": "constant",
        "lr_warmup_steps": 0,
        "checkpointing_steps": request.steps + 1,
    }
    switches = ["--gradient_checkpointing", "--cache_latents", "--center_crop"]
    launch = ["accelerate", "launch", "--num_processes=1", "--mixed_precision=bf16", SCRIPT]
    return [*launch, *(f"--{name}={value}" for name, value in options.items()), *switches]


def percent_in(line: str) -> float | None:
    """Return the percentage in a line of the training's progress bar; other bars have other names."""
    found = STEPS.search(line)
    return float(found[1]) if found else None


def run_streaming(arguments: list[str], on_line: Callable[[str], None]) -> int:
    """Run a command and pass on each line, also those that end in a carriage return, as in progress bars.

    The child process is killed if this function is interrupted.
    """
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stdout.write(line)
                on_line(line)
        except BaseException:
            process.kill()
            raise
        return process.wait()


def _is_picture(name: str) -> bool:
    hidden = name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")
    return name.lower().endswith(PICTURES) and not hidden


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        data = member.read(LARGEST_IMAGE + 1)
    if len(data) > LARGEST_IMAGE:
        raise BadPictures(f"{name} is larger than {LARGEST_IMAGE} bytes")
    return data


def _caption(archive: zipfile.ZipFile, name: str) -> str:
    try:
        text = archive.open(name.rpartition(".")[0] + ".txt").read(10_000)
    except KeyError:
        return ""
    return text.decode("utf-8", "replace").strip()

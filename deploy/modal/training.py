"""Pictures with captions → a Flux LoRA, by diffusers' own DreamBooth script under accelerate."""

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
from deploy.modal.pictures import opened

SCRIPT: Final = "/opt/diffusers/examples/dreambooth/train_dreambooth_lora_flux.py"
WEIGHTS: Final = "pytorch_lora_weights.safetensors"
PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
MOST_PICTURES: Final = 200
STEPS: Final = re.compile(r"Steps:\s+(\d+)%")
LAST_LINES: Final = 20

Run = Callable[[list[str], Callable[[str], None]], int]
"""Runs a command, tells each line it writes, returns its exit code."""


class BadPictures(CallFailed):
    """The archive or its pictures cannot be learnt from."""


class TrainingFailed(CallFailed):
    """The script ended without weights. Carries its last words."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


def train(
    asked: ModalTrainingInput,
    base_model: str,
    folder: Path,
    downloads: Downloads,
    progress: Callable[[float], None],
    run: Run,
) -> Path:
    """The trained weights, below `folder`."""
    dataset, made = folder / "dataset", folder / "lora"
    lay_out(pictures(asked, downloads), asked.trigger_word, dataset)
    last: deque[str] = deque(maxlen=LAST_LINES)

    def hear(line: str) -> None:
        percent = percent_in(line)
        if percent is None:
            last.append(line.rstrip())
        else:
            progress(percent)

    code = run(command(asked, base_model, dataset, made), hear)
    if code != 0 or not (made / WEIGHTS).exists():
        words = "\n".join(last)
        raise TrainingFailed(f"exit code {code}: {words[-800:]}", retryable="OutOfMemoryError" in words)
    return made / WEIGHTS


def pictures(asked: ModalTrainingInput, downloads: Downloads) -> Iterable[tuple[bytes, str]]:
    """Each picture with its caption."""
    if asked.images_zip_url:
        return from_zip(downloads.read(asked.images_zip_url, LARGEST_ARCHIVE))
    return ((downloads.read(image.url), image.caption) for image in asked.images)


def from_zip(archive: bytes) -> list[tuple[bytes, str]]:
    """Sizes are those that the archive really holds, not those that it claims."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened_archive:
            names = sorted(name for name in opened_archive.namelist() if _is_picture(name))
            if not 1 <= len(names) <= MOST_PICTURES:
                raise BadPictures(f"the archive holds {len(names)} pictures, it takes 1 to {MOST_PICTURES}")
            return [(_member(opened_archive, name), _caption(opened_archive, name)) for name in names]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise BadPictures(f"the archive cannot be read: {error}") from error


def lay_out(pairs: Iterable[tuple[bytes, str]], trigger_word: str, dataset: Path) -> None:
    """A folder as `datasets` reads it: pictures, and a caption for each in metadata.jsonl.

    A caption that lacks the trigger word would teach nothing about it.
    """
    dataset.mkdir(parents=True)
    lines = []
    for number, (data, caption) in enumerate(pairs):
        name = f"{number:04}.png"
        opened(data).save(dataset / name)
        text = training_caption(caption, trigger_word)
        lines.append(json.dumps({"file_name": name, "text": text}))
    (dataset / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def command(asked: ModalTrainingInput, base_model: str, dataset: Path, made: Path) -> list[str]:
    """Every value is one argument of its own, glued to its option: no text can become an option."""
    options = {
        "pretrained_model_name_or_path": base_model,
        "dataset_name": dataset,
        "caption_column": "text",
        "instance_prompt": asked.trigger_word,
        "output_dir": made,
        "rank": asked.rank,
        "max_train_steps": asked.steps,
        "learning_rate": asked.learning_rate,
        "resolution": asked.resolution,
        "seed": asked.seed,
        "mixed_precision": "bf16",
        "train_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "lr_scheduler": "constant",
        "lr_warmup_steps": 0,
        "checkpointing_steps": asked.steps + 1,
    }
    switches = ["--gradient_checkpointing", "--cache_latents", "--center_crop"]
    launch = ["accelerate", "launch", "--num_processes=1", "--mixed_precision=bf16", SCRIPT]
    return [*launch, *(f"--{name}={value}" for name, value in options.items()), *switches]


def percent_in(line: str) -> float | None:
    """The progress bar of the training itself; loading has bars of other names."""
    found = STEPS.search(line)
    return float(found[1]) if found else None


def run_and_tell(arguments: list[str], tell: Callable[[str], None]) -> int:
    """Lines end at carriage returns too, as progress bars write them. No child outlives the call."""
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stdout.write(line)
                tell(line)
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
        raise BadPictures(f"{name} is larger than a picture may be")
    return data


def _caption(archive: zipfile.ZipFile, name: str) -> str:
    try:
        text = archive.open(name.rpartition(".")[0] + ".txt").read(10_000)
    except KeyError:
        return ""
    return text.decode("utf-8", "replace").strip()

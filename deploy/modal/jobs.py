"""What each kind of call does between its claim and its envelope: make files, keep them, name them."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from PIL import Image

from contracts.modal_app import ModalImageInput, ModalResult, ModalSubmit, ModalTrainingInput
from deploy.modal.comfyui import ComfyServer
from deploy.modal.downloads import Downloads
from deploy.modal.outputs import OutputFolder
from deploy.modal.pictures import as_png, check_not_black, opened
from deploy.modal.training import Run, run_and_tell, train
from deploy.modal.worker import Job, Progress


class Kept(Protocol):
    """The outputs volume: a folder, and the moment from which others see what is in it."""

    folder: OutputFolder

    def commit(self) -> None: ...


class Draws(Protocol):
    """A loaded pipeline."""

    def draw(self, asked: ModalImageInput, progress: Callable[[float], None]) -> Image.Image: ...


def drawing(call_id: str, studio: Draws, is_nsfw: Callable[[Image.Image], bool], kept: Kept) -> Job:
    def job(asked: ModalSubmit, progress: Progress) -> ModalResult:
        assert isinstance(asked.input, ModalImageInput)
        image = studio.draw(asked.input, progress)
        data = as_png(image)
        output = kept.folder.save(call_id, "0.png", data, size=image.size, nsfw=is_nsfw(image))
        kept.commit()
        return ModalResult(status="succeeded", outputs=(output,), seed=asked.input.seed)

    return job


def workflow(call_id: str, server: ComfyServer, is_nsfw: Callable[[Image.Image], bool], kept: Kept) -> Job:
    def job(asked: ModalSubmit, _: Progress) -> ModalResult:
        assert isinstance(asked.input, ModalImageInput)
        outputs = []
        for number, file in enumerate(server.run(asked.input.workflow or {})):
            image = opened(file.data)
            check_not_black(image)
            name = f"{number}.{file.name.rpartition('.')[2]}"
            nsfw = is_nsfw(image)
            outputs.append(kept.folder.save(call_id, name, file.data, size=image.size, nsfw=nsfw))
        kept.commit()
        return ModalResult(status="succeeded", outputs=tuple(outputs), seed=asked.input.seed)

    return job


def training(
    call_id: str, default_model: str, downloads: Downloads, kept: Kept, run: Run = run_and_tell
) -> Job:
    def job(asked: ModalSubmit, progress: Progress) -> ModalResult:
        assert isinstance(asked.input, ModalTrainingInput)
        base_model = asked.input.base_model or default_model
        with tempfile.TemporaryDirectory() as folder:
            weights = train(asked.input, base_model, Path(folder), downloads, progress, run)
            output, manifest = kept.folder.save_lora(call_id, weights, asked.input, base_model)
        kept.commit()
        return ModalResult(status="succeeded", outputs=(output,), seed=asked.input.seed, manifest=manifest)

    return job

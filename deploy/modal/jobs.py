"""The work of each kind of call: produce files, save them, return their result."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from PIL import Image

from contracts.modal_app import ModalImageInput, ModalResult, ModalSubmit, ModalTrainingInput
from deploy.modal.comfyui import ComfyServer
from deploy.modal.downloads import Downloads
from deploy.modal.outputs import OutputFolder
from deploy.modal.pictures import as_png, check_not_black, open_image
from deploy.modal.training import Run, run_streaming, train
from deploy.modal.worker import Job, Progress


class OutputsPort(Protocol):
    """The outputs volume: a folder, and `commit`, which makes its changes visible to others."""

    folder: OutputFolder

    def commit(self) -> None: ...


class Renderer(Protocol):
    """A loaded pipeline."""

    def draw(self, request: ModalImageInput, progress: Callable[[float], None]) -> Image.Image: ...


def drawing(
    call_id: str, renderer: Renderer, is_nsfw: Callable[[Image.Image], bool], kept: OutputsPort
) -> Job:
    def job(request: ModalSubmit, progress: Progress) -> ModalResult:
        assert isinstance(request.input, ModalImageInput)
        image = renderer.draw(request.input, progress)
        data = as_png(image)
        output = kept.folder.save(call_id, "0.png", data, size=image.size, nsfw=is_nsfw(image))
        kept.commit()
        return ModalResult(status="succeeded", outputs=(output,), seed=request.input.seed)

    return job


def workflow(
    call_id: str, server: ComfyServer, is_nsfw: Callable[[Image.Image], bool], kept: OutputsPort
) -> Job:
    def job(request: ModalSubmit, _: Progress) -> ModalResult:
        assert isinstance(request.input, ModalImageInput)
        outputs = []
        for number, file in enumerate(server.run(request.input.workflow or {})):
            image = open_image(file.data)
            check_not_black(image)
            name = f"{number}.{file.name.rpartition('.')[2]}"
            nsfw = is_nsfw(image)
            outputs.append(kept.folder.save(call_id, name, file.data, size=image.size, nsfw=nsfw))
        kept.commit()
        return ModalResult(status="succeeded", outputs=tuple(outputs), seed=request.input.seed)

    return job


def training(
    call_id: str, default_model: str, downloads: Downloads, kept: OutputsPort, run: Run = run_streaming
) -> Job:
    def job(request: ModalSubmit, progress: Progress) -> ModalResult:
        assert isinstance(request.input, ModalTrainingInput)
        base_model = request.input.base_model or default_model
        with tempfile.TemporaryDirectory() as folder:
            weights = train(request.input, base_model, Path(folder), downloads, progress, run)
            output, manifest = kept.folder.save_lora(call_id, weights, request.input, base_model)
        kept.commit()
        return ModalResult(status="succeeded", outputs=(output,), seed=request.input.seed, manifest=manifest)

    return job

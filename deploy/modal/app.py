"""`modal deploy deploy/modal/app.py`: HTTP routes, Flux on a GPU, LoRA training, ComfyUI.

The one place where the parts meet. It is loaded by the command that deploys, which has no GPU
library, and again in every container; what only a container has is imported inside functions.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import modal
import modal.experimental

from contracts.modal_app import ModalImageInput, ModalSubmit, ModalTrainingInput
from deploy.modal import containers
from deploy.modal.calls import ModalCalls, OpenDict, SharedTable, VolumeFiles, WorkerDict
from deploy.modal.ids import ReservedIds
from deploy.modal.outputs import OutputFolder
from deploy.modal.refusals import refusals
from deploy.modal.settings import AppSettings
from deploy.modal.worker import Job, work

SETTINGS: Final = AppSettings()
MODELS: Final = Path("/models")
OUTPUTS: Final = Path("/outputs")
DAY_SECONDS: Final = 24 * 3600
COMFYUI_START_SECONDS: Final = 300

app = modal.App(SETTINGS.app_name)
ledger = modal.Dict.from_name(f"{SETTINGS.app_name}-calls", create_if_missing=True)
open_calls = modal.Dict.from_name(f"{SETTINGS.app_name}-open", create_if_missing=True)
models_volume = modal.Volume.from_name(f"{SETTINGS.app_name}-models", create_if_missing=True)
outputs_volume = modal.Volume.from_name(f"{SETTINGS.app_name}-outputs", create_if_missing=True)
hf_token = modal.Secret.from_name(SETTINGS.hf_secret, required_keys=["HF_TOKEN"])
on_a_gpu: Final[dict[str, Any]] = {
    "volumes": {str(MODELS): models_volume, str(OUTPUTS): outputs_volume},
    "secrets": [hf_token],
    "min_containers": SETTINGS.min_containers,
    "max_containers": SETTINGS.max_containers,
    "scaledown_window": SETTINGS.scaledown_seconds,
    "startup_timeout": 1800,
}


class OutputsVolume:
    folder = OutputFolder(OUTPUTS)

    def commit(self) -> None:
        outputs_volume.commit()


def _work(asked: dict[str, Any], call_id: str, job: Job) -> dict[str, Any]:
    stop = modal.experimental.stop_fetching_inputs
    ended = partial(open_calls.pop, call_id, None)
    return work(asked, call_id, WorkerDict(ledger), job, stop_taking=stop, ended=ended)


def _call_id() -> str:
    call_id = modal.current_function_call_id()
    assert call_id, "this runs in a container only"
    return call_id


@app.cls(
    image=containers.drawing_image(SETTINGS),
    gpu=SETTINGS.gpu,
    timeout=SETTINGS.image_timeout_seconds,
    enable_memory_snapshot=SETTINGS.memory_snapshots,
    **on_a_gpu,
)
class Images:
    """One Flux model on one GPU, one picture at a time. Another model is another set of containers."""

    model: str = modal.parameter(default=SETTINGS.models[0])

    @modal.enter(snap=SETTINGS.memory_snapshots)
    def load(self) -> None:
        """Into memory; where snapshots are on, one is taken after this. No GPU here."""
        from deploy.modal.pipelines import load_flux

        self._pipe = load_flux(self.model)

    @modal.enter(snap=False)
    def wake(self) -> None:
        from deploy.modal import pipelines
        from deploy.modal.downloads import Downloads, client
        from deploy.modal.faces import FaceSwapper

        self._studio = pipelines.Studio(
            self.model,
            self._pipe.to("cuda"),
            Downloads(client(), MODELS / "loras"),
            pipelines.seeded,
            FaceSwapper(MODELS / "insightface") if SETTINGS.face_swap else None,
            models_volume.commit,
        )
        classify = pipelines.load_classifier(SETTINGS.nsfw_model, "cuda")
        self._is_nsfw = pipelines.NsfwClassifier(classify, SETTINGS.nsfw_threshold)

    @modal.method()
    def draw(self, asked: dict[str, Any]) -> dict[str, Any]:
        from deploy.modal.jobs import drawing

        call_id = _call_id()
        return _work(asked, call_id, drawing(call_id, self._studio, self._is_nsfw, OutputsVolume()))


if SETTINGS.training:

    @app.function(
        image=containers.training_image(SETTINGS),
        gpu=SETTINGS.training_gpu,
        timeout=SETTINGS.training_timeout_seconds,
        **on_a_gpu | {"min_containers": 0},
    )
    def train(asked: dict[str, Any]) -> dict[str, Any]:
        """One LoRA. A machine that is taken away begins again, under the same call."""
        from deploy.modal.downloads import Downloads, client
        from deploy.modal.jobs import training

        call_id = _call_id()
        downloads = Downloads(client(), MODELS / "loras")
        return _work(asked, call_id, training(call_id, SETTINGS.models[0], downloads, OutputsVolume()))


if SETTINGS.comfyui:

    @app.cls(
        image=containers.comfyui_image(SETTINGS),
        gpu=SETTINGS.gpu,
        timeout=SETTINGS.image_timeout_seconds,
        **on_a_gpu | {"min_containers": 0},
    )
    class Workflows:
        """A ComfyUI server that nobody but this container can reach."""

        @modal.enter()
        def start(self) -> None:
            import httpx

            from deploy.modal import comfyui, pipelines

            self._process = comfyui.start_server(Path(containers.COMFYUI_HOME), MODELS / "comfyui")
            self._server = comfyui.ComfyServer(httpx.Client(base_url=comfyui.URL, timeout=30))
            self._server.wait_until_up(COMFYUI_START_SECONDS)
            classify = pipelines.load_classifier(SETTINGS.nsfw_model, "cpu")
            self._is_nsfw = pipelines.NsfwClassifier(classify, SETTINGS.nsfw_threshold)

        @modal.method()
        def run(self, asked: dict[str, Any]) -> dict[str, Any]:
            from deploy.modal.jobs import workflow

            call_id = _call_id()
            return _work(asked, call_id, workflow(call_id, self._server, self._is_nsfw, OutputsVolume()))

        @modal.exit()
        def stop(self) -> None:
            self._process.terminate()


def function_for(asked: ModalSubmit) -> Any:
    """What was refused by `refusals` never comes here."""
    if isinstance(asked.input, ModalTrainingInput):
        return train
    return _image_function(asked.input)


def _image_function(asked: ModalImageInput) -> Any:
    if asked.workflow is not None:
        return Workflows().run
    images: Any = Images  # Modal makes its constructor of `modal.parameter`
    return images(model=asked.model or SETTINGS.models[0]).draw


@app.function(image=containers.web_image(SETTINGS), timeout=150)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(requires_proxy_auth=True)
def web() -> Any:
    """The routes. Modal lets nobody in without a proxy-auth token, and starts no container for them."""
    from deploy.modal.routes import create_api

    table = SharedTable(ledger)
    return create_api(
        ModalCalls(table, function_for),
        ReservedIds(table, stale_seconds=SETTINGS.stale_seconds),
        OpenDict(open_calls),
        VolumeFiles(outputs_volume),
        partial(refusals, settings=SETTINGS),
    )


@app.function(
    image=containers.web_image(SETTINGS),
    volumes={str(OUTPUTS): outputs_volume},
    schedule=modal.Period(days=1),
    timeout=3600,
)
def sweep() -> None:
    """Files that nobody fetched: Modal forgets the results that name them after 7 days as well."""
    OutputFolder(OUTPUTS).sweep(time.time() - SETTINGS.keep_outputs_days * DAY_SECONDS)
    outputs_volume.commit()

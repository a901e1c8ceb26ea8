"""Application on Modal: HTTP routes, Flux on a GPU, LoRA training, ComfyUI. `modal deploy
deploy/modal/app.py`

This is the composition root. The deploying command loads it without any GPU library, and every container
loads it again; packages that only a container has are imported inside functions.
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
from deploy.modal.rejections import rejections
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
gpu_options: Final[dict[str, Any]] = {
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


def _work(request: dict[str, Any], call_id: str, job: Job) -> dict[str, Any]:
    stop = modal.experimental.stop_fetching_inputs
    ended = partial(open_calls.pop, call_id, None)
    return work(request, call_id, WorkerDict(ledger), job, stop_process=stop, ended=ended)


def _call_id() -> str:
    call_id = modal.current_function_call_id()
    assert call_id, "only a container has a call id"
    return call_id


@app.cls(
    image=containers.drawing_image(SETTINGS),
    gpu=SETTINGS.gpu,
    timeout=SETTINGS.image_timeout_seconds,
    enable_memory_snapshot=SETTINGS.memory_snapshots,
    **gpu_options,
)
class Images:
    """One Flux model on one GPU, drawing one picture at a time. Each model has its own set of containers."""

    model: str = modal.parameter(default=SETTINGS.models[0])

    @modal.enter(snap=SETTINGS.memory_snapshots)
    def load(self) -> None:
        """Load the model into CPU memory. With snapshots enabled, one is taken after this step."""
        from deploy.modal.pipelines import load_flux

        self._pipe = load_flux(self.model)

    @modal.enter(snap=False)
    def wake(self) -> None:
        from deploy.modal import pipelines
        from deploy.modal.downloads import Downloads, client
        from deploy.modal.faces import FaceSwapper

        self._renderer = pipelines.FluxRenderer(
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
    def draw(self, request: dict[str, Any]) -> dict[str, Any]:
        from deploy.modal.jobs import drawing

        call_id = _call_id()
        return _work(request, call_id, drawing(call_id, self._renderer, self._is_nsfw, OutputsVolume()))


if SETTINGS.training:

    @app.function(
        image=containers.training_image(SETTINGS),
        gpu=SETTINGS.training_gpu,
        timeout=SETTINGS.training_timeout_seconds,
        **gpu_options | {"min_containers": 0},
    )
    def train(request: dict[str, Any]) -> dict[str, Any]:
        """Train one LoRA. After a preemption Modal runs the same call again from the start."""
        from deploy.modal.downloads import Downloads, client
        from deploy.modal.jobs import training

        call_id = _call_id()
        downloads = Downloads(client(), MODELS / "loras")
        return _work(request, call_id, training(call_id, SETTINGS.models[0], downloads, OutputsVolume()))


if SETTINGS.comfyui:

    @app.cls(
        image=containers.comfyui_image(SETTINGS),
        gpu=SETTINGS.gpu,
        timeout=SETTINGS.image_timeout_seconds,
        **gpu_options | {"min_containers": 0},
    )
    class Workflows:
        """A ComfyUI server that is reachable only inside this container."""

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
        def run(self, request: dict[str, Any]) -> dict[str, Any]:
            from deploy.modal.jobs import workflow

            call_id = _call_id()
            return _work(request, call_id, workflow(call_id, self._server, self._is_nsfw, OutputsVolume()))

        @modal.exit()
        def stop(self) -> None:
            self._process.terminate()


def function_for(request: ModalSubmit) -> Any:
    """Return the Modal function for a request that passed `rejections`."""
    if isinstance(request.input, ModalTrainingInput):
        return train
    return _image_function(request.input)


def _image_function(request: ModalImageInput) -> Any:
    if request.workflow is not None:
        return Workflows().run
    images: Any = Images  # Modal generates its constructor from `modal.parameter`
    return images(model=request.model or SETTINGS.models[0]).draw


@app.function(image=containers.web_image(SETTINGS), timeout=150)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(requires_proxy_auth=True)
def web() -> Any:
    """Serve the routes. Modal rejects requests without a proxy-auth token and then starts no container."""
    from deploy.modal.routes import create_api

    table = SharedTable(ledger)
    return create_api(
        ModalCalls(table, function_for),
        ReservedIds(table, stale_seconds=SETTINGS.stale_seconds),
        OpenDict(open_calls),
        VolumeFiles(outputs_volume),
        partial(rejections, settings=SETTINGS),
    )


@app.function(
    image=containers.web_image(SETTINGS),
    volumes={str(OUTPUTS): outputs_volume},
    schedule=modal.Period(days=1),
    timeout=3600,
)
def sweep() -> None:
    """Delete old outputs. Modal drops the results that reference them after 7 days as well."""
    OutputFolder(OUTPUTS).sweep(time.time() - SETTINGS.keep_outputs_days * DAY_SECONDS)
    outputs_volume.commit()

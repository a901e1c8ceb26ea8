"""Flux with diffusers: one pipeline on one GPU, from an input to a picture.

Torch and diffusers are imported inside functions, because the web function and the tests have neither.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from PIL import Image

from contracts.modal_app import ModalImageInput
from deploy.modal.downloads import Downloads
from deploy.modal.pictures import crop_to, open_image, supported_size

IP_ADAPTER: Final = ("XLabs-AI/flux-ip-adapter", "ip_adapter.safetensors", "openai/clip-vit-large-patch14")
REFERENCE_SCALE: Final = 0.8
NEGATIVE_GUIDANCE: Final = 2.5
ADAPTER: Final = "lora"


class Swapper(Protocol):
    """Copies the face of one picture into another."""

    def swap(self, picture: Image.Image, face: Image.Image) -> Image.Image:
        """Return the picture with the face. Raise `NoFaceFound` if either has none."""


def is_distilled(model: str) -> bool:
    """Return True for Schnell models: few steps, no guidance, no negative prompt."""
    return "schnell" in model.lower()


def pipeline_arguments(model: str, request: ModalImageInput) -> dict[str, Any]:
    """Return the arguments of a Flux pipeline that need no GPU.

    A negative prompt needs true classifier-free guidance, which doubles the time; it is set only for one.
    """
    width, height = supported_size(request.width, request.height)
    common: dict[str, Any] = {"prompt": request.prompt, "width": width, "height": height}
    if is_distilled(model):
        return common | {"num_inference_steps": 4, "guidance_scale": 0.0, "max_sequence_length": 256}
    dev = common | {"num_inference_steps": 28, "guidance_scale": 3.5, "max_sequence_length": 512}
    if request.negative_prompt.strip():
        dev |= {"negative_prompt": request.negative_prompt, "true_cfg_scale": NEGATIVE_GUIDANCE}
    return dev


class FluxRenderer:
    """A loaded pipeline. Its adapters stay loaded until a call needs others."""

    def __init__(
        self,
        model: str,
        pipe: Any,
        downloads: Downloads,
        generator: Callable[[int], Any],
        swapper: Swapper | None = None,
        kept: Callable[[], None] = lambda: None,
    ) -> None:
        self._model = model
        self._pipe = pipe
        self._downloads = downloads
        self._generator = generator
        self._swapper = swapper
        self._kept = kept
        self._lora: Path | None = None
        self._guided = False

    def draw(self, request: ModalImageInput, progress: Callable[[float], None]) -> Image.Image:
        face = open_image(self._downloads.read(request.face_url)) if request.face_url else None
        arguments = pipeline_arguments(self._model, request)
        self._use_lora(request)
        self._use_reference(request, arguments)
        steps = arguments["num_inference_steps"]

        def after_step(_: Any, step: int, __: Any, state: dict[str, Any]) -> dict[str, Any]:
            progress(95 * (step + 1) / steps)
            return state

        image: Image.Image = self._pipe(
            **arguments, generator=self._generator(request.seed), callback_on_step_end=after_step
        ).images[0]
        image = crop_to(image, request.width, request.height)
        return self._swapper.swap(image, face) if face and self._swapper else image

    def _use_lora(self, request: ModalImageInput) -> None:
        if request.lora is None:
            return self._drop_lora()
        path, is_new = self._downloads.lora(request.lora.url)
        if is_new:
            self._kept()
        if path != self._lora:
            self._drop_lora()
            self._pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=ADAPTER)
            self._lora = path
        self._pipe.set_adapters([ADAPTER], adapter_weights=[request.lora.scale])
        return None

    def _drop_lora(self) -> None:
        if self._lora is not None:
            self._lora = None
            self._pipe.unload_lora_weights()

    def _use_reference(self, request: ModalImageInput, arguments: dict[str, Any]) -> None:
        """Set the reference picture. A loaded IP adapter needs one on every call, so it is unloaded
        otherwise."""
        if request.reference_url is None:
            if self._guided:
                self._guided = False
                self._pipe.unload_ip_adapter()
            return
        arguments["ip_adapter_image"] = open_image(self._downloads.read(request.reference_url))
        if not self._guided:
            repository, weights, encoder = IP_ADAPTER
            self._pipe.load_ip_adapter(
                repository, weight_name=weights, image_encoder_pretrained_model_name_or_path=encoder
            )
            self._pipe.set_ip_adapter_scale(REFERENCE_SCALE)
            self._guided = True


def load_flux(model: str) -> Any:
    """Load the pipeline on the CPU, where a memory snapshot can include it."""
    import torch
    from diffusers import FluxPipeline

    pipe = FluxPipeline.from_pretrained(model, dtype=torch.bfloat16)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def seeded(seed: int, generator: Any = None) -> Any:
    """Return a generator with a seed from 0 to 2^64-1. A CPU generator gives every GPU the same noise."""
    if generator is None:
        import torch

        generator = torch.Generator("cpu")
    return generator.manual_seed(seed)


class NsfwClassifier:
    """Flags NSFW pictures and changes no pixel. Flux pipelines have no safety checker of their own."""

    def __init__(self, classify: Callable[[Image.Image], list[dict[str, Any]]], threshold: float) -> None:
        self._classify = classify
        self._threshold = threshold

    def __call__(self, image: Image.Image) -> bool:
        scores = {str(entry["label"]).lower(): float(entry["score"]) for entry in self._classify(image)}
        return scores["nsfw"] >= self._threshold


def load_classifier(model: str, device: str) -> Callable[[Image.Image], list[dict[str, Any]]]:
    from transformers import pipeline

    classify: Callable[[Image.Image], list[dict[str, Any]]] = pipeline(
        "image-classification", model=model, device=device, top_k=None
    )
    return classify

"""Flux through diffusers: one pipeline on one GPU, from an input to a picture.

Loads torch and diffusers inside functions: the web function and the tests have neither.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from PIL import Image

from contracts.modal_app import ModalImageInput
from deploy.modal.downloads import Downloads
from deploy.modal.pictures import cropped, drawn_size, opened

IP_ADAPTER: Final = ("XLabs-AI/flux-ip-adapter", "ip_adapter.safetensors", "openai/clip-vit-large-patch14")
REFERENCE_SCALE: Final = 0.8
NEGATIVE_GUIDANCE: Final = 2.5
ADAPTER: Final = "lora"


class Swapper(Protocol):
    """Puts the face of one picture into another."""

    def swap(self, picture: Image.Image, face: Image.Image) -> Image.Image:
        """Raises `NoFaceFound`."""


def is_distilled(model: str) -> bool:
    """Schnell: few steps, no guidance, and nothing to be told what not to draw."""
    return "schnell" in model.lower()


def recipe(model: str, asked: ModalImageInput) -> dict[str, Any]:
    """The arguments of a Flux pipeline that need no GPU.

    A negative prompt needs real guidance, which takes twice the time: only where one is given.
    """
    width, height = drawn_size(asked.width, asked.height)
    common: dict[str, Any] = {"prompt": asked.prompt, "width": width, "height": height}
    if is_distilled(model):
        return common | {"num_inference_steps": 4, "guidance_scale": 0.0, "max_sequence_length": 256}
    dev = common | {"num_inference_steps": 28, "guidance_scale": 3.5, "max_sequence_length": 512}
    if asked.negative_prompt.strip():
        dev |= {"negative_prompt": asked.negative_prompt, "true_cfg_scale": NEGATIVE_GUIDANCE}
    return dev


class Studio:
    """A loaded pipeline. Adapters stay loaded until another call wants others."""

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

    def draw(self, asked: ModalImageInput, progress: Callable[[float], None]) -> Image.Image:
        face = opened(self._downloads.read(asked.face_url)) if asked.face_url else None
        arguments = recipe(self._model, asked)
        self._use_lora(asked)
        self._use_reference(asked, arguments)
        steps = arguments["num_inference_steps"]

        def after_step(_: Any, step: int, __: Any, state: dict[str, Any]) -> dict[str, Any]:
            progress(95 * (step + 1) / steps)
            return state

        image: Image.Image = self._pipe(
            **arguments, generator=self._generator(asked.seed), callback_on_step_end=after_step
        ).images[0]
        image = cropped(image, asked.width, asked.height)
        return self._swapper.swap(image, face) if face and self._swapper else image

    def _use_lora(self, asked: ModalImageInput) -> None:
        if asked.lora is None:
            return self._drop_lora()
        path, is_new = self._downloads.lora(asked.lora.url)
        if is_new:
            self._kept()
        if path != self._lora:
            self._drop_lora()
            self._pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=ADAPTER)
            self._lora = path
        self._pipe.set_adapters([ADAPTER], adapter_weights=[asked.lora.scale])
        return None

    def _drop_lora(self) -> None:
        if self._lora is not None:
            self._lora = None
            self._pipe.unload_lora_weights()

    def _use_reference(self, asked: ModalImageInput, arguments: dict[str, Any]) -> None:
        """An IP adapter that is loaded wants a picture each time, so it goes when there is none."""
        if asked.reference_url is None:
            if self._guided:
                self._guided = False
                self._pipe.unload_ip_adapter()
            return
        arguments["ip_adapter_image"] = opened(self._downloads.read(asked.reference_url))
        if not self._guided:
            repository, weights, encoder = IP_ADAPTER
            self._pipe.load_ip_adapter(
                repository, weight_name=weights, image_encoder_pretrained_model_name_or_path=encoder
            )
            self._pipe.set_ip_adapter_scale(REFERENCE_SCALE)
            self._guided = True


def load_flux(model: str) -> Any:
    """On the CPU, so that a memory snapshot may be taken of it."""
    import torch
    from diffusers import FluxPipeline

    pipe = FluxPipeline.from_pretrained(model, dtype=torch.bfloat16)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def seeded(seed: int, generator: Any = None) -> Any:
    """A generator with a seed, 0 to 2^64-1. On the CPU: the same seed gives the same noise on every GPU."""
    if generator is None:
        import torch

        generator = torch.Generator("cpu")
    return generator.manual_seed(seed)


class NsfwClassifier:
    """A classifier of its own: Flux pipelines have no safety checker. It flags, and changes no pixel."""

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

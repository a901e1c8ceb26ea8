"""Container images and their pinned packages. The versions were resolved together and never ran on a GPU."""

from typing import Final

import modal

from deploy.modal.settings import AppSettings

PYTHON: Final = "3.11"
SETTINGS_PACKAGES: Final = ("pydantic==2.14.3", "pydantic-settings==2.16.3")
WEB: Final = ("fastapi==0.165.0",)
INPUTS: Final = ("httpx==0.28.1", "pillow==13.0.0")
TORCH: Final = ("torch==2.9.1", "torchvision==0.24.1")
DIFFUSERS_VERSION: Final = "0.42.1"
DRAWING: Final = (
    f"diffusers=={DIFFUSERS_VERSION}",
    "transformers==5.23.0",
    "accelerate==1.15.0",
    "peft==0.21.2",
    "sentencepiece==0.2.3",
    "protobuf==7.36.2",
    "safetensors==0.8.0",
)
FACES: Final = ("insightface==2.1", "onnxruntime==1.31.1")
TRAINING: Final = ("datasets==5.2.0",)
CLASSIFIER: Final = ("transformers==5.23.0",)
COMFYUI_HOME: Final = "/opt/ComfyUI"
HF_HOME: Final = "/models/huggingface"
DIFFUSERS_GIT: Final = "https://github.com/huggingface/diffusers"
COMFYUI_GIT: Final = "https://github.com/comfyanonymous/ComfyUI"


def web_image(settings: AppSettings) -> modal.Image:
    """Return the image of the routes, kept small for fast cold starts."""
    return _with_source(_debian().uv_pip_install(*SETTINGS_PACKAGES, *WEB), settings)


def drawing_image(settings: AppSettings) -> modal.Image:
    image = _debian().uv_pip_install(*SETTINGS_PACKAGES, *INPUTS, *TORCH, *DRAWING)
    if settings.face_swap:
        image = image.apt_install("libgl1", "libglib2.0-0").uv_pip_install(*FACES)
    return _with_source(image, settings)


def training_image(settings: AppSettings) -> modal.Image:
    """Return the image with the training script, which the diffusers wheel lacks, from the same version's
    repository."""
    clone = f"git clone --depth 1 --branch v{DIFFUSERS_VERSION} {DIFFUSERS_GIT} /opt/diffusers"
    image = (
        _debian().apt_install("git").uv_pip_install(*SETTINGS_PACKAGES, *INPUTS, *TORCH, *DRAWING, *TRAINING)
    )
    return _with_source(image.run_commands(clone), settings)


def comfyui_image(settings: AppSettings) -> modal.Image:
    clone = f"git clone --depth 1 --branch {settings.comfyui_version} {COMFYUI_GIT} {COMFYUI_HOME}"
    image = (
        _debian()
        .apt_install("git", "libgl1", "libglib2.0-0")
        .uv_pip_install(*TORCH)
        .run_commands(clone, f"python -m pip install -r {COMFYUI_HOME}/requirements.txt")
        .uv_pip_install(*SETTINGS_PACKAGES, *INPUTS, *CLASSIFIER)
    )
    return _with_source(image, settings)


def _debian() -> modal.Image:
    return modal.Image.debian_slim(python_version=PYTHON)


def _with_source(image: modal.Image, settings: AppSettings) -> modal.Image:
    known = settings.as_environment() | {"HF_HOME": HF_HOME}
    return image.env(known).add_local_python_source("contracts", "deploy")

"""Callers' workflows to try rules on."""

from typing import Any

Graph = dict[str, Any]


def drawing(*, seed: Any = "{{seed}}", batch_size: Any = 1, prefix: Any = "mine") -> Graph:
    """A text-to-image graph as an editor exports it; node 7 saves."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "{{prompt}}", "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "{{negative_prompt}}", "clip": ["1", 1]}},
        "4": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": "{{width}}", "height": "{{height}}", "batch_size": batch_size},
        },
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0],
                "positive": ["2", 0],
                "negative": ["3", 0],
                "latent_image": ["4", 0],
                "seed": seed,
                "steps": 24,
                "cfg": 4.0,
                "sampler_name": "euler",
                "scheduler": "simple",
                "denoise": 1.0,
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": saving("6", prefix),
    }


def saving(source: str, prefix: Any = "mine", **node: Any) -> Graph:
    """A node that saves what another makes."""
    return {"class_type": "SaveImage", "inputs": {"images": [source, 0], "filename_prefix": prefix}} | node


def scaled(source: str) -> Graph:
    """A node that enlarges what another makes."""
    size = {"upscale_method": "lanczos", "width": 96, "height": 96, "crop": "disabled"}
    return {"class_type": "ImageScale", "inputs": {"image": [source, 0], **size}}


def draft_and_final() -> Graph:
    """The draft is saved by node 7, the enlarged picture by node 11."""
    return drawing(prefix="draft") | {"10": scaled("6"), "11": saving("10", "final")}


def files(*names: str, kind: str = "output") -> dict[str, Any]:
    """Files that a node saved, as the server's history lists them."""
    return {"images": [{"filename": name, "subfolder": "", "type": kind} for name in names]}

"""Face swap with insightface, available if the operator provides the model."""

from pathlib import Path
from typing import Any, Final

from PIL import Image

from deploy.modal.failures import CallFailed

SWAP_MODEL: Final = "inswapper_128.onnx"


class NoFaceFound(CallFailed):
    """One of the two pictures has no face."""


class NoSwapModel(CallFailed):
    """Face swap is on, but its model is not on the volume."""


class FaceSwapper:
    """Swaps faces. `folder` holds `inswapper_128.onnx`; insightface stores its detector beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: tuple[Any, Any] | None = None

    def swap(self, picture: Image.Image, face: Image.Image) -> Image.Image:
        import numpy

        analysis, swapper = self._load()
        source = largest_face(analysis.get(_as_bgr(face)), "the face picture")
        pixels = _as_bgr(picture)
        target = largest_face(analysis.get(pixels), "the drawn picture")
        swapped = swapper.get(pixels, target, source, paste_back=True)
        return Image.fromarray(numpy.ascontiguousarray(swapped[:, :, ::-1]))

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from insightface.app import FaceAnalysis
            from insightface.model_zoo import get_model

            model = self._folder / SWAP_MODEL
            if not model.exists():
                raise NoSwapModel(f"put {SWAP_MODEL} on the models volume, in {self._folder.name}/")
            providers = ["CPUExecutionProvider"]
            analysis = FaceAnalysis(name="buffalo_l", root=str(self._folder), providers=providers)
            analysis.prepare(ctx_id=-1, det_size=(640, 640))
            self._loaded = analysis, get_model(str(model), providers=providers)
        return self._loaded


def _as_bgr(image: Image.Image) -> Any:
    import numpy

    return numpy.ascontiguousarray(numpy.asarray(image.convert("RGB"))[:, :, ::-1])


def largest_face(faces: list[Any], where: str) -> Any:
    if not faces:
        raise NoFaceFound(f"there is no face in {where}")
    return max(faces, key=lambda face: (face.bbox[2] - face.bbox[0]) * (face.bbox[3] - face.bbox[1]))

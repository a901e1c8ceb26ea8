"""A simulated LoRA draws the person of the pictures that it was trained on."""

import io
import zipfile
from pathlib import Path

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.modal_app import ModalTrainingImage, ModalTrainingInput
from deploy.simulators import fal_training, modal_training
from deploy.simulators.comfyui_picture import read_picture
from deploy.simulators.drawing import PictureSpec, draw, encode
from deploy.simulators.identity_watermark import read_watermark
from deploy.simulators.loras import TrainedPerson, common_identity, lora_in, read_lora
from deploy.simulators.serving import running

BASE = encode(draw(PictureSpec("a woman with purple hair and dark skin", 7, 256, 256)), "png")
SHEET = tuple(encode(draw(PictureSpec(f"view {n}", n, 256, 256, (BASE,))), "png") for n in range(4))
STRANGER = encode(draw(PictureSpec("a man with a beard", 8, 256, 256)), "png")
MARA = read_watermark(Image.open(io.BytesIO(BASE)))
GRAPH = {
    "1": {"class_type": "LoraLoader", "inputs": {"lora_name": "mara.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "mara7 in the snow", "clip": ["1", 1]}},
    "3": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "positive": ["2", 0], "seed": 1}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
}


def trained(pictures: tuple[bytes, ...]) -> bytes:
    request = ModalTrainingInput(
        trigger_word="mara7", images=[ModalTrainingImage(url="http://x/1", caption="")] * 4, steps=10
    )
    return modal_training.safetensors(request, pictures)


def archive(pictures: tuple[bytes, ...]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for place, picture in enumerate(pictures):
            opened.writestr(f"{place}.png", picture)
    return buffer.getvalue()


def test_most_of_the_pictures_determine_the_person() -> None:
    assert MARA is not None
    assert common_identity((*SHEET, STRANGER, b"no picture")) == MARA
    assert common_identity((b"no picture", encode(Image.new("RGB", (256, 256)), "png"))) is None


def test_both_trainers_write_the_person_into_the_weights() -> None:
    assert read_lora(trained(SHEET)) == TrainedPerson("mara7", MARA)
    names = [f"{place}.png" for place in range(4)]
    assert read_lora(fal_training._safetensors("mara7", archive(SHEET), names)) == TrainedPerson(
        "mara7", MARA
    )


def test_comfyui_draws_the_person_of_a_lora_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "mara.safetensors").write_bytes(trained(SHEET))
    spec = read_picture(GRAPH, "4", lambda _: b"", tmp_path).spec
    assert (spec.label, spec.identity) == ("mara", MARA)
    assert read_watermark(draw(spec)) == MARA


@pytest.mark.parametrize("content", [None, b"", b"x" * 20, b"\xff" * 40])
def test_a_lora_that_cannot_be_read_is_known_by_its_name(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "mara.safetensors").write_bytes(content)
    assert lora_in(tmp_path, "mara.safetensors") == TrainedPerson("mara")


def test_a_reference_takes_precedence_over_a_lora() -> None:
    picture = draw(PictureSpec("x", 1, 256, 256, (STRANGER,), identity=MARA))
    assert read_watermark(picture) == read_watermark(Image.open(io.BytesIO(STRANGER)))


async def test_modal_and_fal_draw_the_person_of_the_weights_behind_a_link() -> None:
    from deploy.simulators.loras import fetch_lora

    async def weights(_: Request) -> Response:
        return Response(trained(SHEET))

    app = Starlette(routes=[Route("/w.safetensors", weights)])
    async with running(app) as base, httpx.AsyncClient(trust_env=False) as client:
        assert await fetch_lora(client, f"{base}/w.safetensors") == TrainedPerson("mara7", MARA)

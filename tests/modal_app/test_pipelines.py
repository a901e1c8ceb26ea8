"""Arguments that an input becomes, checked on a pipeline that records its calls."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from PIL import Image

from deploy.modal.downloads import Downloads
from deploy.modal.faces import NoFaceFound, NoSwapModel, largest_face
from deploy.modal.jobs import drawing
from deploy.modal.outputs import OutputFolder
from deploy.modal.pictures import BlackImage, UnreadableImage, as_png, open_image, supported_size
from deploy.modal.pipelines import FluxRenderer, NsfwClassifier, pipeline_arguments, seeded
from deploy.modal.worker import work
from tests.modal_app.fakes import A_LORA, FakeWorkerTable, an_image, image_input

DEV, SCHNELL = "black-forest-labs/FLUX.1-dev", "black-forest-labs/FLUX.1-schnell"


def a_png(color: str = "red", size: tuple[int, int] = (8, 8)) -> bytes:
    return as_png(Image.new("RGB", size, color))


class FakePipe:
    def __init__(self, color: str = "red") -> None:
        self.color = color
        self.calls: list[dict[str, Any]] = []
        self.done: list[str] = []

    def __call__(self, **arguments: Any) -> Any:
        self.calls.append(arguments)
        for step in range(arguments["num_inference_steps"]):
            arguments["callback_on_step_end"](self, step, 0, {})
        image = Image.new("RGB", (arguments["width"], arguments["height"]), self.color)
        return SimpleNamespace(images=[image])

    def load_lora_weights(self, folder: str, weight_name: str, adapter_name: str) -> None:
        assert (Path(folder) / weight_name).read_bytes() == A_LORA
        self.done.append("load lora")

    def set_adapters(self, names: list[str], adapter_weights: list[float]) -> None:
        self.done.append(f"scale {adapter_weights[0]}")

    def unload_lora_weights(self) -> None:
        self.done.append("unload lora")

    def load_ip_adapter(self, repository: str, **names: str) -> None:
        self.done.append("load reference")

    def set_ip_adapter_scale(self, scale: float) -> None:
        pass

    def unload_ip_adapter(self) -> None:
        self.done.append("unload reference")


class Swap:
    def swap(self, picture: Image.Image, face: Image.Image) -> Image.Image:
        return Image.new("RGB", picture.size, "green")


class PipelineHarness:
    def __init__(self, folder: Path, pipe: FakePipe | None = None, model: str = DEV) -> None:
        def host(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, content=A_LORA if "lora" in request.url.path else a_png())

        self.pipe = pipe or FakePipe()
        self.commits = 0
        http = httpx.Client(transport=httpx.MockTransport(host), verify=False)
        downloads = Downloads(http, folder / "loras")
        self.renderer = FluxRenderer(
            model, self.pipe, downloads, lambda seed: f"noise {seed}", Swap(), self._commit
        )
        self.reported: list[float] = []

    def _commit(self) -> None:
        self.commits += 1

    def draw(self, **more: Any) -> Image.Image:
        return self.renderer.draw(image_input(**more), self.reported.append)


@pytest.fixture
def harness(tmp_path: Path) -> PipelineHarness:
    return PipelineHarness(tmp_path)


def lora(name: str, scale: float = 1.0) -> dict[str, Any]:
    return {"lora": {"url": f"https://bucket.example/lora-{name}", "scale": scale}}


def test_a_negative_prompt_enables_true_guidance_and_costs_only_then() -> None:
    assert "true_cfg_scale" not in pipeline_arguments(DEV, image_input())
    guided = pipeline_arguments(DEV, image_input(negative_prompt="blur"))
    assert guided["negative_prompt"] == "blur"
    assert guided["true_cfg_scale"] > 1


def test_a_distilled_model_takes_few_steps_and_no_negative_prompt() -> None:
    arguments = pipeline_arguments(SCHNELL, image_input(negative_prompt="blur"))
    assert (arguments["num_inference_steps"], arguments["guidance_scale"]) == (4, 0.0)
    assert "negative_prompt" not in arguments


@pytest.mark.parametrize(
    ("requested", "drawn"), [((1024, 1024), (1024, 1024)), ((1000, 65), (1008, 80)), ((1, 16), (16, 16))]
)
def test_the_model_draws_the_next_larger_size(requested: tuple[int, int], drawn: tuple[int, int]) -> None:
    assert supported_size(*requested) == drawn


def test_a_picture_has_the_requested_size(harness: PipelineHarness) -> None:
    assert harness.draw(width=100, height=65).size == (100, 65)
    assert harness.pipe.calls[0]["width"] == 112


def test_the_seed_and_the_number_of_steps_reach_the_pipeline(harness: PipelineHarness) -> None:
    harness.draw(seed=11)
    assert harness.pipe.calls[0]["generator"] == "noise 11"
    assert len(harness.reported) == 28
    assert harness.reported[-1] == 95


def test_a_lora_stays_loaded_until_a_call_needs_another(harness: PipelineHarness) -> None:
    harness.draw(**lora("a", 0.8))
    harness.draw(**lora("a", 0.5))
    harness.draw(**lora("b"))
    harness.draw()
    loaded = ["load lora", "scale 0.8", "scale 0.5"]
    assert harness.pipe.done == [*loaded, "unload lora", "load lora", "scale 1.0", "unload lora"]
    assert harness.commits == 2


def test_a_lora_that_fails_to_load_does_not_count_as_loaded(harness: PipelineHarness) -> None:
    harness.pipe.load_lora_weights = _failing  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="no such layer"):
        harness.draw(**lora("a"))
    harness.draw()
    assert harness.pipe.done == []


def _failing(folder: str, weight_name: str, adapter_name: str) -> None:
    raise ValueError("no such layer")


def test_a_reference_guides_one_picture_and_not_the_next(harness: PipelineHarness) -> None:
    harness.draw(reference_url="https://bucket.example/r.png")
    harness.draw(reference_url="https://bucket.example/r.png")
    harness.draw()
    assert ["ip_adapter_image" in call for call in harness.pipe.calls] == [True, True, False]
    assert harness.pipe.done == ["load reference", "unload reference"]


def test_a_face_is_swapped_into_the_drawn_picture(harness: PipelineHarness) -> None:
    image = harness.draw(face_url="https://bucket.example/f.png")
    assert image.getpixel((0, 0)) == (0, 128, 0)


def test_the_largest_face_is_used_and_no_face_is_an_error() -> None:
    small, large = (SimpleNamespace(bbox=[0, 0, side, side]) for side in (5, 9))
    assert largest_face([small, large], "x") is large
    with pytest.raises(NoFaceFound, match="the drawn picture"):
        largest_face([], "the drawn picture")
    assert not NoSwapModel.retryable


def test_the_score_of_the_classifier_decides_the_flag() -> None:
    def scores(image: Image.Image) -> list[dict[str, Any]]:
        return [{"label": "normal", "score": 0.4}, {"label": "NSFW", "score": 0.6}]

    picture = open_image(a_png())
    assert NsfwClassifier(scores, 0.5)(picture)
    assert not NsfwClassifier(scores, 0.7)(picture)


class OutputsPort:
    def __init__(self, folder: Path) -> None:
        self.folder = OutputFolder(folder)
        self.seen: list[list[str]] = []
        self._root = folder

    def commit(self) -> None:
        self.seen.append(sorted(path.name for path in self._root.glob("fc-1/*")))


def finished(tmp_path: Path, color: str, *, nsfw: bool = False) -> tuple[dict[str, Any], OutputsPort]:
    harness, kept = PipelineHarness(tmp_path, FakePipe(color)), OutputsPort(tmp_path)
    job = drawing("fc-1", harness.renderer, lambda _: nsfw, kept)
    return work(an_image(), "fc-1", FakeWorkerTable(), job), kept


def test_a_drawn_picture_is_committed_before_the_call_ends(tmp_path: Path) -> None:
    value, kept = finished(tmp_path, "red", nsfw=True)
    [output] = value["outputs"]
    assert (output["path"], output["width"], output["nsfw"]) == ("/outputs/fc-1/0.png", 64, True)
    assert kept.seen == [["0.png"]]
    assert Image.open(io.BytesIO((tmp_path / "fc-1" / "0.png").read_bytes())).size == (64, 96)


def test_a_black_picture_is_a_failure_without_a_file(tmp_path: Path) -> None:
    value, kept = finished(tmp_path, "black")
    assert (value["status"], value["outputs"], value["error"]["type"]) == ("failed", [], "BlackImage")
    assert kept.seen == []
    with pytest.raises(BlackImage):
        as_png(Image.new("RGB", (4, 4), (1, 1, 1)))
    as_png(Image.new("RGB", (4, 4), (9, 9, 9)))


@pytest.mark.parametrize("data", [b"", b"<html>", a_png()[:-40]], ids=["empty", "html", "cut"])
def test_an_undecodable_input_is_reported(data: bytes) -> None:
    with pytest.raises(UnreadableImage):
        open_image(data)


def test_every_seed_reaches_the_generator_unchanged() -> None:
    generator = SimpleNamespace(manual_seed=lambda seed: seed)
    seeds = [0, 7, 2**63 - 1, 2**63, 2**63 + 7, 2**64 - 1]
    assert [seeded(seed, generator) for seed in seeds] == seeds

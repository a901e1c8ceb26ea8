"""From an input to what the pipeline is asked, with a pipeline that keeps books."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from PIL import Image

from deploy.modal.downloads import Downloads
from deploy.modal.faces import NoFaceFound, NoSwapModel, largest
from deploy.modal.jobs import drawing
from deploy.modal.outputs import OutputFolder
from deploy.modal.pictures import BlackImage, UnreadableImage, as_png, drawn_size, opened
from deploy.modal.pipelines import NsfwClassifier, Studio, recipe, seeded
from deploy.modal.worker import work
from tests.modal_app.fakes import A_LORA, FakeWorkerTable, an_image, image_input

DEV, SCHNELL = "black-forest-labs/FLUX.1-dev", "black-forest-labs/FLUX.1-schnell"


def a_png(color: str = "red", size: tuple[int, int] = (8, 8)) -> bytes:
    return as_png(Image.new("RGB", size, color))


class FakePipe:
    def __init__(self, color: str = "red") -> None:
        self.color = color
        self.asked: list[dict[str, Any]] = []
        self.done: list[str] = []

    def __call__(self, **arguments: Any) -> Any:
        self.asked.append(arguments)
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


class Desk:
    def __init__(self, folder: Path, pipe: FakePipe | None = None, model: str = DEV) -> None:
        def host(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, content=A_LORA if "lora" in request.url.path else a_png())

        self.pipe = pipe or FakePipe()
        self.commits = 0
        http = httpx.Client(transport=httpx.MockTransport(host), verify=False)
        downloads = Downloads(http, folder / "loras")
        self.studio = Studio(model, self.pipe, downloads, lambda seed: f"noise {seed}", Swap(), self._commit)
        self.told: list[float] = []

    def _commit(self) -> None:
        self.commits += 1

    def draw(self, **more: Any) -> Image.Image:
        return self.studio.draw(image_input(**more), self.told.append)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def lora(name: str, scale: float = 1.0) -> dict[str, Any]:
    return {"lora": {"url": f"https://bucket.example/lora-{name}", "scale": scale}}


def test_a_negative_prompt_switches_real_guidance_on_and_costs_only_then() -> None:
    assert "true_cfg_scale" not in recipe(DEV, image_input())
    guided = recipe(DEV, image_input(negative_prompt="blur"))
    assert guided["negative_prompt"] == "blur"
    assert guided["true_cfg_scale"] > 1


def test_a_distilled_model_takes_few_steps_and_no_negative_prompt() -> None:
    asked = recipe(SCHNELL, image_input(negative_prompt="blur"))
    assert (asked["num_inference_steps"], asked["guidance_scale"]) == (4, 0.0)
    assert "negative_prompt" not in asked


@pytest.mark.parametrize(
    ("asked", "drawn"), [((1024, 1024), (1024, 1024)), ((1000, 65), (1008, 80)), ((1, 16), (16, 16))]
)
def test_the_model_draws_the_next_larger_size(asked: tuple[int, int], drawn: tuple[int, int]) -> None:
    assert drawn_size(*asked) == drawn


def test_a_picture_has_the_size_that_was_asked_for(desk: Desk) -> None:
    assert desk.draw(width=100, height=65).size == (100, 65)
    assert desk.pipe.asked[0]["width"] == 112


def test_the_seed_and_the_steps_are_the_pipelines(desk: Desk) -> None:
    desk.draw(seed=11)
    assert desk.pipe.asked[0]["generator"] == "noise 11"
    assert len(desk.told) == 28
    assert desk.told[-1] == 95


def test_a_lora_stays_loaded_until_another_is_wanted(desk: Desk) -> None:
    desk.draw(**lora("a", 0.8))
    desk.draw(**lora("a", 0.5))
    desk.draw(**lora("b"))
    desk.draw()
    loaded = ["load lora", "scale 0.8", "scale 0.5"]
    assert desk.pipe.done == [*loaded, "unload lora", "load lora", "scale 1.0", "unload lora"]
    assert desk.commits == 2


def test_a_lora_that_does_not_load_is_not_taken_for_loaded(desk: Desk) -> None:
    desk.pipe.load_lora_weights = _broken  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="no such layer"):
        desk.draw(**lora("a"))
    desk.draw()
    assert desk.pipe.done == []


def _broken(folder: str, weight_name: str, adapter_name: str) -> None:
    raise ValueError("no such layer")


def test_a_reference_guides_one_picture_and_not_the_next(desk: Desk) -> None:
    desk.draw(reference_url="https://bucket.example/r.png")
    desk.draw(reference_url="https://bucket.example/r.png")
    desk.draw()
    assert ["ip_adapter_image" in asked for asked in desk.pipe.asked] == [True, True, False]
    assert desk.pipe.done == ["load reference", "unload reference"]


def test_a_face_is_swapped_into_the_drawn_picture(desk: Desk) -> None:
    image = desk.draw(face_url="https://bucket.example/f.png")
    assert image.getpixel((0, 0)) == (0, 128, 0)


def test_of_many_faces_the_largest_counts_and_none_is_an_error() -> None:
    small, large = (SimpleNamespace(bbox=[0, 0, side, side]) for side in (5, 9))
    assert largest([small, large], "x") is large
    with pytest.raises(NoFaceFound, match="the drawn picture"):
        largest([], "the drawn picture")
    assert not NoSwapModel.retryable


def test_a_classifier_flags_by_its_score() -> None:
    def scores(image: Image.Image) -> list[dict[str, Any]]:
        return [{"label": "normal", "score": 0.4}, {"label": "NSFW", "score": 0.6}]

    picture = opened(a_png())
    assert NsfwClassifier(scores, 0.5)(picture)
    assert not NsfwClassifier(scores, 0.7)(picture)


class Kept:
    def __init__(self, folder: Path) -> None:
        self.folder = OutputFolder(folder)
        self.seen: list[list[str]] = []
        self._root = folder

    def commit(self) -> None:
        self.seen.append(sorted(path.name for path in self._root.glob("fc-1/*")))


def finished(tmp_path: Path, color: str, *, nsfw: bool = False) -> tuple[dict[str, Any], Kept]:
    desk, kept = Desk(tmp_path, FakePipe(color)), Kept(tmp_path)
    job = drawing("fc-1", desk.studio, lambda _: nsfw, kept)
    return work(an_image(), "fc-1", FakeWorkerTable(), job), kept


def test_a_drawn_picture_is_committed_before_the_call_ends(tmp_path: Path) -> None:
    value, kept = finished(tmp_path, "red", nsfw=True)
    [output] = value["outputs"]
    assert (output["path"], output["width"], output["nsfw"]) == ("/outputs/fc-1/0.png", 64, True)
    assert kept.seen == [["0.png"]]
    assert Image.open(io.BytesIO((tmp_path / "fc-1" / "0.png").read_bytes())).size == (64, 96)


def test_a_black_picture_is_a_failure_and_no_file(tmp_path: Path) -> None:
    value, kept = finished(tmp_path, "black")
    assert (value["status"], value["outputs"], value["error"]["type"]) == ("failed", [], "BlackImage")
    assert kept.seen == []
    with pytest.raises(BlackImage):
        as_png(Image.new("RGB", (4, 4), (1, 1, 1)))
    as_png(Image.new("RGB", (4, 4), (9, 9, 9)))


@pytest.mark.parametrize("data", [b"", b"<html>", a_png()[:-40]], ids=["empty", "html", "cut"])
def test_an_input_that_is_no_picture_says_so(data: bytes) -> None:
    with pytest.raises(UnreadableImage):
        opened(data)


def test_every_seed_reaches_the_generator_unchanged() -> None:
    generator = SimpleNamespace(manual_seed=lambda seed: seed)
    seeds = [0, 7, 2**63 - 1, 2**63, 2**63 + 7, 2**64 - 1]
    assert [seeded(seed, generator) for seed in seeds] == seeds

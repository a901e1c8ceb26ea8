"""Models of the simulators: those that the platform uses; others are rejected as by the providers."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from contracts.modal_app import ModalError, ModalResult
from deploy.modal.settings import AppSettings
from deploy.simulators import fal, modal
from deploy.simulators.behaviour import Behaviour
from deploy.simulators.comfyui_models import Models
from deploy.simulators.comfyui_validation import validate
from deploy.simulators.fal_queue import MODELS
from deploy.simulators.serving import running
from services.gateways.comfyui.graphs import graph_of
from services.gateways.comfyui.settings import ComfyUISettings
from services.gateways.fal.adapter import ALIASES, endpoint_of
from services.gateways.fal.settings import FalSettings
from services.gateways.kit.workflows import filled
from tests.fakes.provider import a_spec, an_attempt_request
from tests.unit.workflow_graphs import draft_and_final

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "contracts" / "examples"
KEY = {"Authorization": "Key the-key"}
PROXY_AUTH = {"Modal-Key": "key", "Modal-Secret": "secret"}


def test_every_model_of_the_fal_gateway_is_at_the_simulated_fal() -> None:
    settings = FalSettings.model_validate({"key": "k"})
    specs: tuple[dict[str, Any], ...] = (
        {},
        {"reference": "01959412-02c8-7f90-8b1e-6d4c2b3a1904/0"},
        {"lora": {"key": "l", "trigger_word": "mia"}},
        {"kind": "lora_training"},
    )
    request = {endpoint_of(settings, an_attempt_request(spec=a_spec(**spec))) for spec in specs}
    assert request | set(ALIASES.values()) <= set(MODELS)


def models_in(value: Any) -> set[str]:
    """Return the fal models that a message names."""
    if isinstance(value, dict):
        named = {value["model"]} if isinstance(value.get("model"), str) else set()
        return named.union(*map(models_in, value.values()))
    return set().union(*map(models_in, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_the_models_and_workflows_of_the_examples_run_at_the_simulators(path: Path) -> None:
    example = json.loads(path.read_text())
    for model in models_in(example):
        assert not model.startswith("fal-ai/") or ALIASES.get(model, model) in MODELS
    for graph in workflows_in(example):
        validation = validate(filled(graph, a_spec(), prefix="imagegen/a"), lambda _: True, Models())
        assert (validation.error, validation.node_errors) == (None, {})


def workflows_in(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [graph for each in value for graph in workflows_in(each)]
    if not isinstance(value, dict):
        return []
    own = [value["workflow"]] if isinstance(value.get("workflow"), dict) else []
    return own + [graph for each in value.values() for graph in workflows_in(each)]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"reference": "01959412-02c8-7f90-8b1e-6d4c2b3a1904/0"},
        {"face": "01959412-02c8-7f90-8b1e-6d4c2b3a1904/0"},
        {"lora": {"key": "l", "trigger_word": "mia", "base_model": "FLUX.1-dev"}},
        {"lora": {"key": "l", "trigger_word": "mia", "base_model": "sdxl"}},
    ],
)
def test_every_template_of_the_comfyui_gateway_runs_at_the_simulated_comfyui(spec: dict[str, Any]) -> None:
    graph = graph_of(
        an_attempt_request("comfyui", spec=a_spec(**spec)),
        ComfyUISettings(base_url="http://c"),
        lora_name="detail.safetensors",
        reference_image="a.png",
        face_image="a.png",
    )
    validation = validate(graph, lambda _: True, Models())
    assert (validation.error, validation.node_errors) == (None, {})


@pytest.mark.parametrize(
    ("endpoint", "detail"),
    [
        ("fal-ai/none-such", "Application 'none-such' not found"),
        ("fal-ai/none-such/v2/edit", "Application 'none-such' not found"),
        ("fal-ai/flux/none", "Path /none not found"),
        ("someone/flux/dev", "Application 'flux' not found"),
        ("flux", "Application 'flux' not found"),
    ],
)
async def test_fal_rejects_an_unknown_endpoint(endpoint: str, detail: str) -> None:
    async with running(fal.create_app()) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.post(f"/{endpoint}", json={"prompt": "a pier"}, headers=KEY)
        assert (answer.status_code, answer.json()) == (404, {"detail": detail})
        assert (await client.get("/_sim/submissions")).json() in ([], {"submissions": []})


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("image_size", "poster", "literal_error"),
        ("image_size", {"width": 8, "height": 8}, "greater_than_equal"),
        ("num_inference_steps", 0, "greater_than_equal"),
        ("guidance_scale", 100, "less_than_equal"),
        ("num_images", 40, "less_than_equal"),
        ("output_format", "tiff", "literal_error"),
        ("acceleration", "warp", "literal_error"),
    ],
)
async def test_fal_completes_an_invalid_value_with_an_error_at_the_result(
    field: str, value: object, kind: str
) -> None:
    async with running(fal.create_app()) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        request = {"prompt": "a pier", field: value}
        accepted = (await client.post("/fal-ai/flux/dev", json=request, headers=KEY)).json()
        while (await client.get(accepted["status_url"], headers=KEY)).json()["status"] != "COMPLETED":
            pass
        answer = await client.get(accepted["response_url"], headers=KEY)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", field]
    assert kind in {problem["type"] for problem in answer.json()["detail"]}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"model": "none-such"}, "model"),
        ({"width": 20}, "width"),
        ({"height": 4096}, "height"),
        ({"workflow": {}}, "workflow"),
    ],
)
async def test_modal_rejects_inputs_as_the_application_does(given: dict[str, Any], field: str) -> None:
    request = {"prompt": "a pier", "seed": 1, "width": 896, "height": 1152} | given
    async with running(modal.create_app()) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.post("/submit", json={"id": "a", "input": request}, headers=PROXY_AUTH)
        assert answer.status_code == 422
        assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", "input", field]]
        unknown = await client.post("/no-such-function", json={}, headers=PROXY_AUTH)
        assert (unknown.status_code, unknown.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("model", [None, *AppSettings().models])
async def test_modal_has_the_models_of_the_application(model: str | None) -> None:
    request = {"prompt": "a pier", "seed": 1, "width": 896, "height": 1152, "model": model}
    async with running(modal.create_app()) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        assert (
            await client.post("/submit", json={"id": "a", "input": request}, headers=PROXY_AUTH)
        ).status_code == 200


async def run_at_modal(graph: dict[str, Any]) -> tuple[ModalResult, list[tuple[int, int]]]:
    """Run a workflow; return its result and the sizes of its pictures."""
    request = {"prompt": "", "seed": 1, "width": 64, "height": 64, "workflow": graph}
    app = modal.create_app(Behaviour(latency_seconds=0))
    async with (
        running(app) as url,
        httpx.AsyncClient(base_url=url, headers=PROXY_AUTH, trust_env=False) as client,
    ):
        call = (await client.post("/submit", json={"id": "a", "input": request})).json()["call_id"]
        while (answer := await client.get(f"/result/{call}")).status_code == 202:
            pass
        result = ModalResult.model_validate_json(answer.content)
        files = [(await client.get(output.path)).content for output in result.outputs]
    return result, [Image.open(io.BytesIO(data)).size for data in files]


async def test_modal_fails_a_workflow_that_its_comfyui_rejects() -> None:
    graph = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "none.safetensors"}}}
    error = (await run_at_modal(graph))[0].error
    assert error == ModalError(type="WorkflowRefused", message="Prompt has no outputs", retryable=False)


async def test_modal_returns_all_saved_pictures_of_a_workflow_and_its_result_first() -> None:
    graph = filled(draft_and_final(), a_spec(width=64, height=48))
    graph["4"]["inputs"]["batch_size"] = 2
    final = graph.pop("11")
    result, sizes = await run_at_modal({"11": final, **graph, "12": preview("6")})
    assert result.status == "succeeded"
    assert sizes == [(96, 96), (96, 96), (64, 48), (64, 48)]


async def test_modal_fails_a_workflow_that_saves_nothing() -> None:
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 0}}
    }
    error = (await run_at_modal(graph | {"2": preview("1")}))[0].error
    assert error == ModalError(
        type="WorkflowFailed", message="the graph ran and saved nothing", retryable=False
    )


def preview(source: str) -> dict[str, Any]:
    return {"class_type": "PreviewImage", "inputs": {"images": [source, 0]}}

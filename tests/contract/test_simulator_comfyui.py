"""The ComfyUI simulator: graphs, uploads, LoRAs, faults and progress."""

import io
import json
from collections import Counter
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.contract.comfyui_simulated import graph, idle, run, simulator, submit, watching


async def test_a_workflow_gives_a_picture_of_the_requested_size_with_its_graph_inside() -> None:
    async with simulator() as client:
        workflow = graph()
        entry = await run(client, workflow)
        [image] = entry["outputs"]["8"]["images"]
        assert image == {"filename": "sim_00001_.png", "subfolder": "", "type": "output"}
        picture = Image.open(io.BytesIO((await client.get("/api/view", params=image)).content))
        assert picture.size == (192, 256)
        assert json.loads(picture.info["prompt"]) == workflow
        again = await run(client, workflow)
        assert again["outputs"] == entry["outputs"]
        [submission, _] = (await client.get("/_sim/submissions")).json()
        assert submission["prompt"] == "a golden portrait"
        assert submission["state"] == "succeeded"
        assert submission["our_id"] == submission["id"]


async def test_an_uploaded_reference_is_drawn_under_the_name_that_the_server_returned() -> None:
    async with simulator() as client:
        names = []
        for colour in ("red", "red", "blue"):
            buffer = io.BytesIO()
            Image.new("RGB", (32, 32), colour).save(buffer, "PNG")
            upload = {"image": ("face.png", buffer.getvalue(), "image/png")}
            answer = await client.post("/upload/image", files=upload, data={"subfolder": "refs"})
            names.append(answer.json()["name"])
        assert names == ["face.png", "face.png", "face (1).png"]
        workflow = graph()
        workflow["9"] = {"class_type": "LoadImage", "inputs": {"image": "refs/face (1).png"}}
        workflow["10"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["9", 0], "vae": ["1", 2]}}
        workflow["6"]["inputs"]["latent_image"] = ["10", 0]
        entry = await run(client, workflow)
        assert entry["status"]["status_str"] == "success"


@pytest.mark.parametrize(("word", "kind"), [("[fail]", "RuntimeError"), ("[oom]", "torch.OutOfMemoryError")])
async def test_a_word_in_the_prompt_makes_the_sampler_fail(word: str, kind: str) -> None:
    async with simulator() as client:
        entry = await run(client, graph(text=f"a portrait {word}"))
        name, data = entry["status"]["messages"][-1]
        assert (name, data["exception_type"], data["node_id"]) == ("execution_error", kind, "6")


async def test_a_lora_is_available_once_its_file_is_in_the_servers_folder(tmp_path: Path) -> None:
    async with simulator(lora_dir=tmp_path) as client:
        workflow = graph()
        workflow["2"]["inputs"]["lora_name"] = "mia.safetensors"
        answer = await client.post("/prompt", json={"prompt": workflow})
        assert answer.status_code == 400
        [error] = answer.json()["node_errors"]["2"]["errors"]
        assert error["type"] == "value_not_in_list"
        assert error["details"] == "lora_name: 'mia.safetensors' not in ['detail.safetensors']"
        for name in ("mia.safetensors", ".mia.safetensors.x.part"):
            (tmp_path / name).write_bytes(b"weights")
        assert (await client.get("/models/loras")).json() == ["detail.safetensors", "mia.safetensors"]
        loader = (await client.get("/object_info/LoraLoader")).json()["LoraLoader"]
        assert loader["input"]["required"]["lora_name"][0] == ["detail.safetensors", "mia.safetensors"]
        await submit(client, workflow)


async def test_a_job_is_accepted_although_its_answer_is_lost() -> None:
    async with simulator() as client:
        await client.post("/_sim/behaviour", json={"next_faults": ["lose_answer", "500", "429"]})
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/prompt", json={"prompt": graph()})
        for status in (500, 429):
            rejected = await client.post("/prompt", json={"prompt": graph()})
            assert rejected.status_code == status
        assert rejected.headers["retry-after"] == "1"
        assert len((await client.get("/_sim/submissions")).json()) == 1


async def test_progress_is_reported_step_by_step() -> None:
    async with simulator() as client, watching(client, "me") as watcher:
        await client.post("/_sim/behaviour", json={"latency_seconds": 0.04})
        await client.post("/prompt", json={"prompt": graph(), "client_id": "me"})
        await watcher.reach(Counter(done=1))
        values = [item["data"]["value"] for item in watcher.seen if item["type"] == "progress"]
        assert values == [1, 2, 3, 4]


async def test_a_non_finite_number_is_accepted_as_by_the_real_server_and_gives_a_black_image() -> None:
    async with simulator() as client:
        prompt_id = await submit(client, graph(cfg="NaN"))
        await idle(client)
        for path in (f"/api/jobs/{prompt_id}", f"/history/{prompt_id}", "/history", "/_sim/submissions"):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert "NaN" in answer.text, "as Python's json writes it"
        entry = (await client.get(f"/history/{prompt_id}")).json()[prompt_id]
        [image] = entry["outputs"]["8"]["images"]
        picture = Image.open(io.BytesIO((await client.get("/view", params=image)).content))
        assert picture.convert("RGB").getcolors() == [(192 * 256, (0, 0, 0))]


async def test_an_infinite_number_is_rejected_as_too_large() -> None:
    async with simulator() as client:
        rejected = await client.post("/prompt", json={"prompt": graph(cfg="inf")})
        assert rejected.status_code == 400
        [error] = rejected.json()["node_errors"]["6"]["errors"]
        assert error["type"] == "value_bigger_than_max"


@pytest.mark.parametrize("prefix", ["/etc/x", "../x", "a/../../x", "..\\x"])
async def test_a_file_outside_of_the_output_folder_fails_the_saving_node(prefix: str) -> None:
    async with simulator() as client:
        entry = await run(client, graph(prefix))
        name, data = entry["status"]["messages"][-1]
        assert (name, data["exception_type"], data["node_id"]) == ("execution_error", "Exception", "8")
        assert "outside the output folder" in data["exception_message"]

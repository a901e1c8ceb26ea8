"""The deployment of the Modal application: it loads offline with modal 1.6 and has the expected parts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("modal", reason="modal is not installed: pip install -e '.[modal]'")

ROOT = Path(__file__).parents[2]
NOT_ON_THE_WEB_MACHINE = ("PIL", "httpx", "numpy", "torch", "diffusers", "transformers", "insightface")
OUR_PACKAGES = {"contracts", "deploy", "prompts", "services", "shared"}
LOAD = """
import json, socket, sys, warnings

def offline(*_):
    raise AssertionError("the network was used")

socket.socket.connect = socket.getaddrinfo = offline
for name in {absent!r}:
    sys.modules[name] = None
warnings.simplefilter("error")
from modal.cli.import_refs import ImportRef, import_file_or_module

module = import_file_or_module(ImportRef("deploy/modal/app.py", use_module_mode=False))
from deploy.modal import routes
functions = {{name: function._function_info for name, function in module.app._local_state.functions.items()}}
print(json.dumps({{
    "functions": sorted(functions),
    "classes": sorted(module.app._local_state.classes),
    "web": module.app._local_state.web_endpoints,
    "gpus": {{name: info.gpus[0][0] for name, info in functions.items() if info.gpus}},
    "ours": sorted({{name.partition(".")[0] for name in sys.modules}} & {ours!r}),
    "public": functions["web"].web_info.unauthenticated,
    "volumes": {{name: sorted(info.volumes) for name, info in functions.items()}},
}}))
"""


def loaded(**settings: str) -> dict[str, Any]:
    """Return the content that `modal deploy` reads, loaded without any GPU library and without a network."""
    known = {key: value for key, value in os.environ.items() if not key.startswith("IMAGEGEN_MODAL_")}
    answer = subprocess.run(
        [sys.executable, "-c", LOAD.format(absent=NOT_ON_THE_WEB_MACHINE, ours=OUR_PACKAGES)],
        cwd=ROOT,
        env=known | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_the_app_loads_offline_without_warnings_and_without_gpu_libraries() -> None:
    app = loaded(IMAGEGEN_MODAL_COMFYUI="true", IMAGEGEN_MODAL_GPU="A100-80GB")
    assert app["functions"] == ["Images.*", "Workflows.*", "sweep", "train", "web"]
    assert app["classes"] == ["Images", "Workflows"]
    assert app["web"] == ["web"]
    assert app["public"] is False
    assert app["ours"] == ["contracts", "deploy"]
    assert app["gpus"] == {"Images.*": "A100-80GB", "Workflows.*": "A100-80GB", "train": "H100"}
    assert app["volumes"]["web"] == []
    assert app["volumes"]["train"] == ["/models", "/outputs"]

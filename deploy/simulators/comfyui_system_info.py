"""Information routes of a ComfyUI server: version, devices, node classes, model files."""

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.simulators.comfyui_models import Models
from deploy.simulators.comfyui_nodes import node_classes
from deploy.simulators.comfyui_sockets import FEATURES

GIB: Final = 1024**3
SYSTEM: Final = {
    "os": "linux",
    "ram_total": 64 * GIB,
    "ram_free": 48 * GIB,
    "comfyui_version": "0.27.1",
    "required_frontend_version": "1.45.20",
    "python_version": "3.11.7",
    "pytorch_version": "2.9.0+cu128",
    "embedded_python": False,
    "argv": ["main.py", "--listen", "127.0.0.1"],
}
DEVICE: Final = {
    "name": "cuda:0 Simulated GPU",
    "type": "cuda",
    "index": 0,
    "vram_total": 24 * GIB,
    "vram_free": 20 * GIB,
    "torch_vram_total": 0,
    "torch_vram_free": 0,
}


def about_routes(models: Models) -> list[Route]:
    async def system_stats(_: Request) -> Response:
        return JSONResponse({"system": SYSTEM, "devices": [DEVICE]})

    async def features(_: Request) -> Response:
        return JSONResponse(FEATURES)

    async def object_info(_: Request) -> Response:
        return JSONResponse({name: models.describe(node) for name, node in node_classes().items()})

    async def object_info_of(request: Request) -> Response:
        node = node_classes().get(request.path_params["name"])
        return JSONResponse({node.name: models.describe(node)} if node else {})

    async def folders(_: Request) -> Response:
        return JSONResponse(models.folders())

    async def models_in(request: Request) -> Response:
        files = models.files(request.path_params["folder"])
        return Response(status_code=404) if files is None else JSONResponse(files)

    async def embeddings(_: Request) -> Response:
        return JSONResponse([])

    return [
        Route("/system_stats", system_stats),
        Route("/features", features),
        Route("/object_info", object_info),
        Route("/object_info/{name}", object_info_of),
        Route("/models", folders),
        Route("/models/{folder}", models_in),
        Route("/embeddings", embeddings),
    ]

"""Routes `/view` and `/upload/*`: files by name, with the server's checks against path traversal."""

from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deploy.simulators.comfyui_disk import FOLDERS, Disk, PathEscape, escapes
from deploy.simulators.drawing import MIME_TYPES, encode, open_image
from deploy.simulators.files import File

INTERNAL_ERROR: Final = "500 Internal Server Error\n\nServer got itself in trouble"


def internal_error() -> Response:
    """Return aiohttp's answer to an unhandled exception."""
    return PlainTextResponse(INTERNAL_ERROR, 500)


def file_routes(disk: Disk) -> list[Route]:
    async def view(request: Request) -> Response:
        query = request.query_params
        name, folder = query.get("filename", ""), query.get("type", "output")
        subfolder = query.get("subfolder", "")
        if not name:
            return Response(status_code=404)
        if escapes(name) or folder not in FOLDERS:
            return Response(status_code=400)
        if escapes(subfolder):
            return Response(status_code=403)
        name = name.rsplit("/", 1)[-1]
        file = disk.read(folder, f"{subfolder}/{name}" if subfolder else name)
        return _file_response(file, name, query.get("preview")) if file else Response(status_code=404)

    async def upload(request: Request) -> Response:
        async with request.form() as form:
            image, folder = form.get("image"), str(form.get("type") or "input")
            if not isinstance(image, UploadFile) or not image.filename:
                return Response(status_code=400)
            if folder not in FOLDERS:
                return internal_error()
            try:
                saved = disk.upload(
                    folder,
                    str(form.get("subfolder") or ""),
                    image.filename,
                    await image.read(),
                    image.content_type or "application/octet-stream",
                    overwrite=form.get("overwrite") in ("true", "1"),
                )
            except PathEscape:
                return Response(status_code=400)
        body: dict[str, Any] = {"name": saved.filename, "subfolder": saved.subfolder}
        return JSONResponse(body | {"type": saved.type})

    return [
        Route("/view", view, methods=["GET"]),
        Route("/upload/image", upload, methods=["POST"]),
        Route("/upload/mask", upload, methods=["POST"]),
    ]


def _file_response(file: File, name: str, preview: str | None) -> Response:
    headers = {"content-disposition": f'filename="{name}"'}
    if preview is None:
        return Response(file.data, media_type=file.content_type, headers=headers | file.headers)
    kind = preview.split(";")[0]
    kind = kind if kind in ("webp", "jpeg") else "webp"
    data = encode(open_image(file.data), kind)
    return Response(data, media_type=MIME_TYPES[kind], headers=headers)

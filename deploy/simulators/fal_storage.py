"""Storage of fal: its two ways to upload, and downloads of uploads and outputs."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.simulators.files import FileStore


def storage_routes(uploads: FileStore, outputs: FileStore) -> list[Route]:
    """Return the storage routes. Uploads need the key or a token; stored files are public."""
    storage = _Storage(uploads, outputs)
    return [
        Route("/storage/auth/token", storage.new_token, methods=["POST"]),
        Route("/storage/upload/initiate", storage.initiate, methods=["POST"]),
        Route("/storage/upload/{path:path}", storage.put, methods=["PUT"]),
        Route("/files/upload", storage.upload, methods=["POST"]),
        Route("/files/{path:path}", storage.read, methods=["GET"]),
    ]


class _Storage:
    def __init__(self, uploads: FileStore, outputs: FileStore) -> None:
        self._uploads = uploads
        self._outputs = outputs
        self._tokens: set[str] = set()

    async def new_token(self, request: Request) -> Response:
        if not _has_key(request):
            return _unauthorized()
        token = secrets.token_hex(16)
        self._tokens.add(token)
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        answer = {"token": token, "token_type": "Bearer", "expires_at": until}
        return JSONResponse(answer | {"base_url": _base(request)})

    async def upload(self, request: Request) -> Response:
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self._tokens:
            return _unauthorized()
        path = _new_path(request.headers.get("x-fal-file-name"))
        await _store(self._uploads, path, request)
        return JSONResponse({"access_url": f"{_base(request)}/files/{path}"})

    async def initiate(self, request: Request) -> Response:
        if not _has_key(request):
            return _unauthorized()
        body: dict[str, Any] = await request.json()
        path = _new_path(body.get("file_name"))
        upload_url = f"{_base(request)}/storage/upload/{path}"
        file_url = f"{_base(request)}/files/{path}"
        return JSONResponse({"upload_url": upload_url, "file_url": file_url})

    async def put(self, request: Request) -> Response:
        await _store(self._uploads, request.path_params["path"], request)
        return Response(status_code=200)

    async def read(self, request: Request) -> Response:
        path: str = request.path_params["path"]
        file = self._uploads.get(path) or self._outputs.get(path)
        if file is None:
            return JSONResponse({"detail": "Not Found"}, 404)
        return Response(file.data, media_type=file.content_type, headers=file.headers)


async def _store(store: FileStore, path: str, request: Request) -> None:
    mime = request.headers.get("content-type", "application/octet-stream")
    store.put(path, await request.body(), mime)


def _new_path(name: str | None) -> str:
    return f"{secrets.token_hex(8)}/{(name or 'file').rsplit('/', 1)[-1]}"


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _has_key(request: Request) -> bool:
    return request.headers.get("authorization", "").startswith("Key ")


def _unauthorized() -> Response:
    return JSONResponse({"detail": "Authentication is required"}, 401)

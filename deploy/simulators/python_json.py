"""JSON as Python's json module writes it, with `NaN` and `Infinity`."""

import json
from typing import Any

from starlette.responses import JSONResponse


class PythonJSON(JSONResponse):
    """A response like that of aiohttp's `json_response`; Starlette's JSONResponse rejects such numbers."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()

"""JSON as Python servers write it: numbers that are no finite ones become `NaN` and `Infinity`."""

import json
from typing import Any

from starlette.responses import JSONResponse


class PythonJSON(JSONResponse):
    """An answer as aiohttp's `json_response` gives it; Starlette's fails at such a number."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()

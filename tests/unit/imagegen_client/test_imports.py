"""The public client can be used without the services: it imports few packages."""

import ast
import sys
from pathlib import Path

import imagegen_client

ALLOWED = {"contracts", "httpx", "httpx_sse", "imagegen_client", "pydantic"}


def imported(source: str) -> set[str]:
    """Return the top-level packages that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                names |= {alias.name.partition(".")[0] for alias in node.names}
            case ast.ImportFrom(module=str(module)):
                names.add(module.partition(".")[0])
    return names - sys.stdlib_module_names


def test_the_client_imports_http_libraries_and_contracts_only() -> None:
    files = Path(imagegen_client.__file__).parent.glob("*.py")

    assert set().union(*(imported(file.read_text(encoding="utf-8")) for file in files)) == ALLOWED

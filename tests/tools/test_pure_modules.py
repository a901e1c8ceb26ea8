"""Pure modules load no client library. Each is imported in a process that has imported no other of them."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = "Pure modules import no client library, directly or indirectly"

IMPORT_EACH = """
import importlib, os, sys
import pydantic  # shared by all of them, and most of the time that an import takes
for modules in sys.argv[1:]:
    if os.fork() == 0:
        for module in modules.split():
            importlib.import_module(module)
        print(*{name.partition(".")[0] for name in sys.modules}, flush=True)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"cannot import {modules}")
"""


def _contract() -> dict[str, Any]:
    """Return the import-linter contract that lists the pure modules and the client libraries."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    found: dict[str, Any] = next(contract for contract in contracts if contract["name"] == CONTRACT)
    return found


def _clients_loaded_by(*names: str) -> dict[str, set[str]]:
    """Return the client libraries that each module or package loads, for those that load one."""
    command = [sys.executable, "-c", IMPORT_EACH, *(" ".join(_modules(name)) for name in names)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    clients = set(_contract()["forbidden_modules"])
    loaded = (clients.intersection(line.split()) for line in run.stdout.splitlines())
    return {name: found for name, found in zip(names, loaded, strict=True) if found}


def _modules(name: str) -> list[str]:
    """Return a module, or a package with all modules below it."""
    below = sorted((ROOT / name.replace(".", "/")).rglob("*.py"))
    inner = [path.relative_to(ROOT).with_suffix("").parts for path in below if path.stem[:2] != "__"]
    return [name, *(".".join(parts) for parts in inner)]


def test_a_pure_module_loads_no_client_library() -> None:
    assert _clients_loaded_by(*_contract()["source_modules"]) == {}


def test_a_module_with_a_client_is_detected() -> None:
    assert _clients_loaded_by("shared.errors", "shared.mongo.client").keys() == {"shared.mongo.client"}

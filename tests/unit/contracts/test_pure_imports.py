"""Pure packages load no client of a broker, a database, a bucket or HTTP."""

import json
import subprocess
import sys

import pytest

CLIENTS = frozenset(
    {
        *("aioboto3", "aiobotocore", "aiohttp", "aiokafka", "boto3", "botocore", "fastapi", "faststream"),
        *("httpx", "motor", "obstore", "pymongo", "starlette", "uvicorn", "websockets"),
        *("services", "shared"),
    }
)

IMPORT_ALL = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("package", ["contracts", "prompts"])
def test_a_pure_package_loads_no_client(package: str) -> None:
    fresh = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package], check=True, capture_output=True, text=True, timeout=60
    )
    loaded = set(json.loads(fresh.stdout))
    assert package in loaded
    assert not loaded & CLIENTS

"""The Python examples and `imagegen` commands of the READMEs run unchanged against a running stack."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.local.fixed_ports import FIXED_PORTS
from shared.ids import uuid7
from tests.docs.blocks import ROOT, blocks_of, commands_in, shell_blocks_of
from tests.e2e.platform import CHARACTER, Platform

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

KAFKA = f"127.0.0.1:{FIXED_PORTS['kafka']}"
"""Address of Kafka on the default stack, replaced by that of the stack under test."""


async def output_of(*command: str, **environment: str) -> str:
    """Return the standard output of a Python program that must succeed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 240)
    assert process.returncode == 0, (command, out.decode(), err.decode())
    return out.decode()


async def test_the_kafka_example_of_the_readme_produces_its_images(platform: Platform) -> None:
    [block] = [each for each in blocks_of("README.md") if each.language == "python"]
    assert block.text.count(KAFKA) == 1
    here = block.text.replace(KAFKA, platform.stack.environment["KAFKA_BOOTSTRAP"])
    [job_id] = (await output_of("-c", here)).split()
    (end,) = await platform.ended(job_id)
    assert (end.status, end.delivered, end.user_id) == ("completed", 4, "user-7")


async def test_the_example_of_the_python_client_saves_images(platform: Platform, tmp_path: Path) -> None:
    [block] = [each for each in blocks_of("clients/python/README.md") if each.language == "python"]
    code = block.text
    for name, url in (("api", platform.stack.api_url), ("notifier", platform.stack.notifier_url)):
        assert code.count(f"http://127.0.0.1:{FIXED_PORTS[name]}") == 1
        code = code.replace(f"http://127.0.0.1:{FIXED_PORTS[name]}", url)
    here = f"import os; os.chdir({str(tmp_path)!r})\n{code}"

    out = await output_of("-c", here)

    assert out.splitlines()[-1] == "completed 2 of 2"
    assert {name: read_start(tmp_path / name) for name in os.listdir(tmp_path)} == dict.fromkeys(
        ("0.png", "1.png"), b"\x89PNG"
    )


def read_start(file: Path) -> bytes:
    return file.read_bytes()[:4]


def with_ids(arguments: list[str], known: dict[str, str]) -> list[str]:
    """Return a command with its placeholders replaced by real ids."""
    return [known.get(word, word) for word in arguments]


async def test_every_imagegen_command_runs(platform: Platform) -> None:
    body: dict[str, Any] = {"count": 1, "character": CHARACTER}
    headers = {"X-Tenant-Id": "local", "X-User-Id": "cli"}
    submitted = await platform.http.post("/v1/base-images", json=body, headers=headers)
    job_id = submitted.json()["id"]
    await platform.ended(job_id)
    known = {"JOB_ID": job_id, "JOB_ID/INDEX": f"{job_id}/0", "CHARACTER_ID": uuid7()}
    environment = {
        "IMAGEGEN_API_URL": platform.stack.api_url,
        "IMAGEGEN_NOTIFIER_URL": platform.stack.notifier_url,
        "KAFKA_BOOTSTRAP": platform.stack.environment["KAFKA_BOOTSTRAP"],
        "IMAGEGEN_PATIENCE": "20",
    }
    ran = []
    for block in shell_blocks_of("README.md"):
        for arguments in commands_in(block):
            if arguments[0] in ("up", "down", "status"):
                continue  # they are about the default stack: tests/integration/test_local_stack.py
            out = await output_of("-m", "clients.cli", *with_ids(arguments, known), **environment)
            assert out.strip(), arguments
            ran.append(arguments[0])
            if arguments[0] == "select" and (chain := re.search(r"chain +([0-9a-f-]{36})", out)):
                known["CHAIN_ID"] = chain[1]
    assert {"generate", "prompt", "job", "jobs", "cancel", "topics", "select", "character", "chain"} <= set(
        ran
    )

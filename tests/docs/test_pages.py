"""Code blocks of README and guides: each command, target and document in them exists and can be read."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
import yaml
from fastapi import FastAPI

from clients.cli.app import app, run
from deploy.local.fixed_ports import FIXED_PORTS
from tests.docs.blocks import ROOT, Block, blocks_of, commands_in, shell_blocks_of, targets_in
from tests.fakes.api import ApiHarness
from tests.fakes.notifier import NotifierHarness

FILES = [
    "README.md",
    "CONTRIBUTING.md",
    "clients/python/README.md",
    *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md")),
]
BLOCKS = [block for file in FILES for block in blocks_of(file)]
COMMANDS = [
    (block, arguments)
    for file in FILES
    for block in shell_blocks_of(file)
    for arguments in commands_in(block)
]
KNOWN = {"", "sh", "bash", "console", "python", "javascript", "json", "yaml", "mermaid", "text"}
REQUEST = {"type": "studio", "scene": "beach", "character": {"name": "Mara", "age": 27}}


def written_in(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def parse(command: Any, arguments: list[str], parent: Any = None) -> None:
    """Parse a command line down to its last command, as the program would, and run nothing."""
    context = command.make_context(command.name, arguments, parent=parent)
    rest = [*getattr(context, "_protected_args", []), *context.args]
    if rest and hasattr(command, "resolve_command"):
        _, inner, left = command.resolve_command(context, rest)
        parse(inner, left, context)


def test_every_make_target_that_is_named_exists() -> None:
    known = set(re.findall(r"^([a-z-]+)(?= [a-z-]+:|:)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known |= set(re.findall(r"^[a-z-]+ ([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target: block for file in FILES for block in shell_blocks_of(file) for target in targets_in(block)
    }
    assert {"demo", "test"} <= named.keys()
    assert {target: str(block) for target, block in named.items() if target not in known} == {}


def test_every_imagegen_command_can_be_parsed() -> None:
    assert len(COMMANDS) >= 10
    program, wrong = typer.main.get_command(app), {}
    for block, arguments in COMMANDS:
        try:
            parse(program, arguments)
        except Exception as error:
            wrong[f"{block}: imagegen {' '.join(arguments)}"] = error
    assert wrong == {}


@pytest.mark.parametrize("arguments", [each for _, each in COMMANDS if each[0] == "prompt"], ids=" ".join)
def test_the_prompt_commands_run_as_they_are(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    assert run(arguments) == 0
    assert "beach" in capsys.readouterr().out


def test_the_readme_names_the_address_that_kafka_has_on_the_default_stack() -> None:
    [block] = [block for block in written_in("python") if block.file == "README.md"]
    assert f'bootstrap_servers="127.0.0.1:{FIXED_PORTS["kafka"]}"' in block.text


def _paths_of(app: FastAPI) -> str:
    return "|".join(re.sub(r"\{\w+\}", "[^/]+", path) for path in app.openapi()["paths"])


def test_every_curl_command_goes_to_the_port_of_the_service_that_has_its_path() -> None:
    found = [
        (str(block), url)
        for file in FILES
        for block in shell_blocks_of(file)
        for command in re.findall(r"\bcurl\b(?:[^\n]|(?<=\\)\n)*", block.text)
        for url in re.findall(r"(?:https?://)?(?:localhost|127\.0\.0\.1)\S*", command)
    ]
    assert found
    ports = {
        str(FIXED_PORTS["api"]): _paths_of(ApiHarness().app),
        str(FIXED_PORTS["notifier"]): _paths_of(NotifierHarness().app),
    }

    def is_served(url: str) -> bool:
        port, _, path = url.removeprefix("http://").partition(":")[2].partition("/")
        return port in ports and re.fullmatch(ports[port], "/" + path.partition("?")[0]) is not None

    assert [(block, url) for block, url in found if not is_served(url.strip("'\""))] == []


@pytest.mark.parametrize("block", written_in("python"), ids=str)
def test_python_blocks_compile(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize(
    "block", [block for block in written_in("python") if block.file == "docs/prompts.md"], ids=str
)
def test_the_prompt_library_is_used_as_its_guide_says(block: Block) -> None:
    exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", [*written_in("json"), *written_in("yaml")], ids=str)
def test_documents_can_be_parsed(block: Block) -> None:
    assert json.loads(block.text) if block.language == "json" else yaml.safe_load(block.text)


def test_every_block_is_in_a_language_that_is_checked() -> None:
    assert {str(block): block.language for block in BLOCKS if block.language not in KNOWN} == {}

"""Code blocks of a Markdown file, as a reader would copy them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^```(?P<language>[\w+-]*)[^\n]*\n(?P<text>.*?)^```\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block. `language` may be empty for a shell block."""

    file: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def blocks_of(file: str) -> list[Block]:
    """Return all blocks of a file, named from the repository's root."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return [
        Block(file, text.count("\n", 0, found.start()) + 1, found["language"], found["text"])
        for found in FENCED.finditer(text)
    ]


COMMAND = re.compile(r"(?:^|[\s(·])(?:\S*/)?imagegen +(?P<arguments>[^·)#\n]*)", re.MULTILINE)
TARGET = re.compile(r"(?:^|\s)make +(?P<words>[^·;&|\n]*)", re.MULTILINE)


def shell_blocks_of(file: str) -> list[Block]:
    """Return the blocks that a reader types into a shell."""
    return [block for block in blocks_of(file) if block.language in ("", "sh", "bash", "console")]


def commands_in(block: Block) -> list[list[str]]:
    """Return the arguments of each `imagegen` command; several on one line are separated by `·`."""
    return [shlex.split(found["arguments"]) for found in COMMAND.finditer(block.text)]


def targets_in(block: Block) -> list[str]:
    """Return the targets of each `make` command."""
    text = re.sub(r"#.*", "", block.text)
    words = [word for found in TARGET.finditer(text) for word in found["words"].split()]
    return [word for word in words if "=" not in word]

"""Conversion of notations of other tools: LoRA references, prompt editing, unusual weights."""

import re
import unicodedata
from typing import Final

_NETWORK = re.compile(
    r"<\s*(?:lora|lyco|hypernet)\s*:"
    r"(?:[^<>,;\n]*>|[^\s<>,;]*(?:\s*:\s*[\d.]+)*)",  # closed or unclosed
    re.IGNORECASE,
)
_EDITING = re.compile(r"(?<!\\)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]")
_PARTS = re.compile(r":(?![^\[]*\])")
_WHEN = re.compile(r"\s*\d*\.?\d+\s*")
_ENDS_IN_DIGIT = re.compile(r"\d\s*$")
_WIDE_WEIGHT = re.compile(r"（([^（）()]*)[：:]\s*([\d.,．，]+)\s*）")
_DECIMAL_COMMA = re.compile(r"((?<!\d):\s*\d),(\d+\s*\))")
_EMPTY_WEIGHT = re.compile(r":\s*(?=\))")
_ALTERNATIVES: Final = "|"


def rewrite_notation(text: str) -> str:
    """Remove LoRA references, and convert prompt editing to plain text and weights to `(text:1.2)`."""
    text = _NETWORK.sub(" ", text) if "<" in text else text
    if "（" in text:
        text = _WIDE_WEIGHT.sub(_narrow, text)
    if ")" in text:
        text = _EMPTY_WEIGHT.sub("", _DECIMAL_COMMA.sub(r"\1.\2", text))
    return _EDITING.sub(_edited, text) if "[" in text else text


def _narrow(match: re.Match[str]) -> str:
    number = unicodedata.normalize("NFKC", match[2])
    return f"({match[1]}:{number})"


def _edited(match: re.Match[str]) -> str:
    """Return the last text of `[from:to:when]`, the text of `[text:when]`, the first of `[one|two]`."""
    *texts, when = _PARTS.split(match[1])
    if texts and len(texts) <= 2 and _WHEN.fullmatch(when) and not _ENDS_IN_DIGIT.search(texts[-1]):
        return texts[-1] if texts[-1].strip() else texts[0]
    if _ALTERNATIVES in match[1]:
        return match[1].split(_ALTERNATIVES)[0]
    return match[0]

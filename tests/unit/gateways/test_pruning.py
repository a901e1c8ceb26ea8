"""JSON pruned to a depth while it streams: the kept parts for any chunks, and bounded memory."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateways.kit.pruning import Pruner

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)


def cut(value: Any, depth: int) -> Any:
    """Return the definition: containers below `depth` become null."""
    if isinstance(value, dict):
        return {key: cut(each, depth - 1) for key, each in value.items()} if depth else None
    if isinstance(value, list):
        return [cut(each, depth - 1) for each in value] if depth else None
    return value


def pruned(text: bytes, depth: int, chunk: int, **limits: int) -> bytes:
    pruner = Pruner(depth, **limits)
    return b"".join(pruner.keep(text[at : at + chunk]) for at in range(0, len(text), chunk))


@given(VALUES, st.integers(0, 4), st.integers(1, 40), st.booleans())
def test_any_json_in_any_chunks_is_cut_at_the_depth(value: Any, depth: int, chunk: int, plain: bool) -> None:
    text = json.dumps(value, ensure_ascii=plain).encode(errors="surrogatepass")
    expected = json.dumps(cut(value, depth), ensure_ascii=plain).encode(errors="surrogatepass")
    assert pruned(text, depth, chunk) == expected


@pytest.mark.parametrize(
    "text", [rb'[{"a": "\\"}, 1]', rb'[{"a": "\""}, 1]', rb'[{"a\\\"": "}]"}, 1]', rb'[{"a": [NaN]}, 1]']
)
@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_quotes_brackets_and_nan_inside_what_is_left_out_do_not_confuse_it(text: bytes, chunk: int) -> None:
    assert pruned(text, 1, chunk) == b"[null, 1]"


def test_memory_does_not_grow_with_what_is_left_out() -> None:
    pruner, chunk = Pruner(1), b'{"graph": "' + b"x" * 65_000 + b'"},'
    pruner.keep(b'{"queue": [')
    tracemalloc.start()
    for _ in range(500):
        assert pruner.keep(chunk) == b""
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000, "32 MB went through"
    assert pruner.keep(b'1], "kept": 2}') == b', "kept": 2}'


@given(st.text(), st.integers(6, 20), st.integers(1, 40))
def test_a_long_text_is_cut_and_what_follows_is_kept(text: str, most: int, chunk: int) -> None:
    whole = json.dumps({"text": [text, "b"], "images": [1]}).encode()
    found = json.loads(pruned(whole, 3, chunk, text_bytes=most))
    kept = found["text"][0]
    units, kept_units = (each.encode("utf-16-le", "surrogatepass") for each in (text, kept))
    assert units.startswith(kept_units)
    assert len(json.dumps(kept)) - 2 >= min(most, len(json.dumps(text)) - 2)
    assert len(json.dumps(kept)) - 2 <= most + 12, "one escape more, or two"
    assert (found["text"][1], found["images"]) == ("b", [1])


@pytest.mark.parametrize("escape", [rb"\n", rb"\u4e2d", rb"\\", rb"\"", b"x"])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_long_text_of_nothing_but_escapes_is_cut(escape: bytes, chunk: int) -> None:
    kept = pruned(b'["' + 500 * escape + b'", 1]', 1, chunk, text_bytes=100)
    assert len(kept) < 120
    assert json.loads(kept)[1] == 1


def test_memory_does_not_grow_with_a_long_text() -> None:
    pruner = Pruner(3)
    pruner.keep(b'{"9": {"text": ["')
    tracemalloc.start()
    kept = b"".join(pruner.keep(b"x" * 65_000) for _ in range(100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept == b"x" * 65_536 + b'"'
    assert peak < 500_000, "6 MB went through"
    assert pruner.keep(b'"]}}') == b"]}}"

"""Find the sentences of a Python file: docstrings, comments, log events and test names."""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from tests.language.rules import SUBJECTS, opener, private_words

LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


@dataclass(frozen=True)
class Violation:
    """One broken rule, at a line of a file."""

    line: int
    problem: str


def violations(source: str) -> list[Violation]:
    """Return the broken rules of a file, in the order of its lines."""
    tree = ast.parse(source)
    found = [*_docstrings(tree), *_comments(source), *_log_events(tree), *_test_names(tree)]
    return sorted(found, key=lambda violation: violation.line)


def _docstrings(tree: ast.Module) -> Iterator[Violation]:
    """Check every string that is a statement: docstrings of modules, classes, functions, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield from _opening(text, node.lineno, "docstring begins with")
                yield from _private(text, node.lineno, "docstring")


def _comments(source: str) -> Iterator[Violation]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from _private(token.string, token.start[0], "comment")


def _log_events(tree: ast.Module) -> Iterator[Violation]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=logger), attr=method),
                args=[ast.Constant(value=str(event)), *_],
            ) if logger in ("log", "logger", "_log") and method in LOG_METHODS:
                yield from _private(_words(event), node.lineno, "log event")


def _test_names(tree: ast.Module) -> Iterator[Violation]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            sentence = _words(node.name.removeprefix("test_"))
            if not sentence.startswith(SUBJECTS):
                yield from _opening(sentence, node.lineno, "test name begins with")
            yield from _private(sentence, node.lineno, "test name")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _opening(text: str, line: int, where: str) -> Iterator[Violation]:
    if word := opener(text):
        yield Violation(line, f"{where} '{word}'")


def _private(text: str, line: int, where: str) -> Iterator[Violation]:
    for word, term in private_words(text):
        yield Violation(line, f"{where} has '{word}'; use: {term}")

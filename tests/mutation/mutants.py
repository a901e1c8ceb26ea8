"""Mutants, and a sample of those that a test can tell apart. Pure."""

import ast
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

COMPARISON = "core/ReplaceComparisonOperator_"
IDENTITY = frozenset({"Is", "IsNot"})
"""`is` in place of `==` does the same for enums and constants; with a literal it is not valid."""


@dataclass(frozen=True)
class Mutant:
    """One change at one place, by one operator of Cosmic Ray."""

    target: str
    module: str
    line: int
    column: int
    operator: str
    occurrence: int

    @property
    def place(self) -> tuple[str, int, int]:
        """The place in the code; it can have several mutants."""
        return self.module, self.line, self.column

    @property
    def can_be_killed(self) -> bool:
        """False for `is` in place of `==`."""
        if not self.operator.startswith(COMPARISON):
            return True
        return len(IDENTITY.intersection(self.operator.split("_")[1:])) != 1

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.operator.removeprefix('core/')}"


def sample(
    mutants: Iterable[Mutant], number: int, seed: int, changes_code: Callable[[Mutant], bool]
) -> list[Mutant]:
    """Return `number` mutants at as many places; the same for the same code and seed."""
    places = defaultdict[tuple[str, int, int], list[Mutant]](list)
    for mutant in mutants:
        if mutant.can_be_killed:
            places[mutant.place].append(mutant)
    chance, drawn = random.Random(seed), list[Mutant]()
    for place in chance.sample(sorted(places), len(places)):
        if len(drawn) == number:
            break
        variants = chance.sample(places[place], len(places[place]))
        drawn.extend([mutant for mutant in variants if changes_code(mutant)][:1])
    return drawn


def differ(source: str, mutated: str) -> bool:
    """Return whether mutated code is valid and has other rules."""
    try:
        return _rules_of(source) != _rules_of(mutated)
    except SyntaxError:
        return False


def _rules_of(source: str) -> str:
    """Return the syntax tree without settings, annotations of functions and decorators.

    Settings are numbers outside of functions: tests use them by name. Without its decorator a property
    or a dataclass fails in every test.
    """
    tree = ast.parse(source)
    compile(source, "mutant", "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns, node.decorator_list = None, []
        elif isinstance(node, ast.ClassDef):
            node.decorator_list = []
        if isinstance(node, ast.Module | ast.ClassDef):
            _drop_settings(node.body)
    return ast.dump(tree)


def _drop_settings(body: list[ast.stmt]) -> None:
    for statement in body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            for node in ast.walk(statement):
                if isinstance(node, ast.Constant) and type(node.value) in (int, float):
                    node.value = 0

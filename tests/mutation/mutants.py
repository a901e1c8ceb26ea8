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
    return ast.dump(_Rules().visit(tree))


class _Rules(ast.NodeTransformer):
    """Drops from a syntax tree what is not a rule."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drop decorators and annotations; numbers inside stay."""
        node.returns, node.decorator_list = None, []
        self.visit(node.args)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Drop decorators."""
        node.decorator_list = []
        return self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        """Drop annotations, and the way in which an argument is passed."""
        node.args = [ast.arg(each.arg) for each in (*node.posonlyargs, *node.args, *node.kwonlyargs)]
        node.defaults += [default for default in node.kw_defaults if default is not None]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """Drop the sign of a number outside of functions."""
        operand = self.visit(node.operand)
        return operand if isinstance(node.op, ast.USub) and isinstance(operand, ast.Constant) else node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Drop the value of a number outside of functions."""
        return ast.Constant(0) if type(node.value) in (int, float) else node

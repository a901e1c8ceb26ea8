"""Mutants are drawn by a seed, one at each place, from those that a test can kill."""

import pytest

from tests.mutation.mutants import Mutant, differ, sample
from tests.mutation.targets import ROOT, TARGETS, Target

SOURCE = """
PAUSE = 2.5

@dataclass(frozen=True)
class C:
    attempts: int = 3
    paid: bool = False

    def f(self, a: int | None, *, b: int = 1) -> bool:
        return a == b
"""


def mutant(operator: str, line: int = 1) -> Mutant:
    return Mutant("fold", "shared/fold.py", line, 0, f"core/{operator}", 0)


def test_a_sample_is_the_same_for_the_same_seed_and_has_one_mutant_at_each_place() -> None:
    mutants = [mutant(name, line) for line in range(50) for name in ("AddNot", "NumberReplacer")]
    drawn = sample(mutants, 20, 7, lambda _: True)
    assert drawn == sample(mutants, 20, 7, lambda _: True)
    assert drawn != sample(mutants, 20, 8, lambda _: True)
    assert len({each.place for each in drawn}) == len(drawn) == 20


def test_a_place_gives_another_mutant_if_the_first_changes_nothing() -> None:
    mutants = [mutant("AddNot"), mutant("NumberReplacer"), mutant("ReplaceOrWithAnd", line=2)]
    drawn = sample(mutants, 9, 1, lambda each: each.operator == "core/NumberReplacer")
    assert drawn == [mutant("NumberReplacer")]


@pytest.mark.parametrize(
    "equivalent",
    [
        mutant("ReplaceComparisonOperator_Eq_Is"),
        mutant("ReplaceComparisonOperator_Lt_IsNot"),
    ],
    ids=str,
)
def test_a_mutant_that_no_test_can_judge_is_left_out(equivalent: Mutant) -> None:
    assert not equivalent.can_be_killed


@pytest.mark.parametrize("name", ["ReplaceComparisonOperator_Is_IsNot", "ReplaceComparisonOperator_Lt_LtE"])
def test_other_comparisons_are_drawn(name: str) -> None:
    assert mutant(name).can_be_killed


@pytest.mark.parametrize(
    ("mutated", "different"),
    [
        (SOURCE.replace("==", "!="), True),
        (SOURCE.replace("= 1", "= 2"), True),
        (SOURCE.replace("False", "True"), True),
        (SOURCE.replace("frozen=True", "frozen=False"), False),
        (SOURCE.replace("3", "4"), False),
        (SOURCE.replace("2.5", "3.5"), False),
        (SOURCE.replace("|", "&"), False),
        (SOURCE.replace("*", "+"), False),
        (SOURCE.replace("*, b", "/, b"), False),
        (SOURCE.replace("3", "-1"), False),
    ],
)
def test_a_mutant_is_valid_code_with_other_rules(mutated: str, different: bool) -> None:
    assert differ(SOURCE, mutated) == different


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_has_modules_and_tests(target: Target) -> None:
    assert list(target.paths())
    assert [path for path in target.tests if not (ROOT / path).exists()] == []

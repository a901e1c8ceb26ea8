"""Cosmic Ray's mutants of the targets, and its sessions, each in its own copy of the repository."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec, WorkItem

from tests.mutation.mutants import Mutant, differ
from tests.mutation.targets import ROOT, TARGETS, Target

TIMEOUT_SECONDS = 60.0
"""A mutant that runs for longer is in an endless loop, and counts as killed."""
COPIED = ("bench", "clients", "contracts", "deploy", "prompts", "services", "shared", "tests")


@dataclass(frozen=True)
class Verdict:
    """A mutant, whether a test failed with it, and its change."""

    mutant: Mutant
    killed: bool
    diff: str


def all_mutants(targets: Iterable[Target], scratch: Path) -> Iterator[Mutant]:
    """Yield all mutants of the targets."""
    for target in targets:
        with use_db(str(scratch / "all.sqlite")) as database:
            init([ROOT / path for path in target.paths()], database, {})
            mutations = [item.mutations[0] for item in database.work_items]
        for each in mutations:
            module = each.module_path.relative_to(ROOT).as_posix()
            line, column = each.start_pos
            yield Mutant(target.name, module, line, column, each.operator_name, each.occurrence)


def changes_code(mutant: Mutant) -> bool:
    """Return whether the mutant is valid code that does something else."""
    source = (ROOT / mutant.module).read_text()
    try:
        mutated = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    except AttributeError:  # Cosmic Ray cannot replace an exception with a dotted name
        return False
    return differ(source, mutated)


def run(mutants: Sequence[Mutant], workers: int, scratch: Path) -> list[Verdict]:
    """Run the tests of each mutant's target against it."""
    with ThreadPoolExecutor(workers) as pool:
        parts = [mutants[worker::workers] for worker in range(workers)]
        done = pool.map(_work, parts, [scratch / f"copy-{worker}" for worker in range(workers)])
        return [verdict for verdicts in done for verdict in verdicts]


def _work(mutants: Sequence[Mutant], copy: Path) -> list[Verdict]:
    for name in COPIED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    verdicts = list[Verdict]()
    for target in TARGETS:
        chosen = [mutant for mutant in mutants if mutant.target == target.name]
        if chosen:
            verdicts += _session(target, chosen, copy)
    return verdicts


def _session(target: Target, mutants: Sequence[Mutant], copy: Path) -> list[Verdict]:
    config, session = copy / "cosmic-ray.toml", copy / f"{target.name.replace(' ', '-')}.sqlite"
    config.write_text(_config(target))
    with use_db(str(session)) as database:
        database.add_work_items([_work_item(str(n), mutant) for n, mutant in enumerate(mutants)])
    for command in (["baseline", str(config)], ["exec", str(config), str(session)]):
        subprocess.run([sys.executable, "-m", "cosmic_ray.cli", *command], cwd=copy, check=True)
    with use_db(str(session)) as database:
        return [
            Verdict(mutants[int(n)], result.is_killed, result.diff or "") for n, result in database.results
        ]


def _config(target: Target) -> str:
    lines = {
        "module-path": list(target.paths()),
        "timeout": TIMEOUT_SECONDS,
        "excluded-modules": [],
        "test-command": f"{sys.executable} -m pytest {target.pytest_arguments}",
    }
    settings = "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())
    return f'[cosmic-ray]\n{settings}\n[cosmic-ray.distributor]\nname = "local"\n'


def _work_item(id_: str, mutant: Mutant) -> WorkItem:
    spec = MutationSpec(
        module_path=mutant.module,
        operator_name=mutant.operator,
        occurrence=mutant.occurrence,
        start_pos=(mutant.line, mutant.column),
        end_pos=(mutant.line, mutant.column + 1),
    )
    return WorkItem.single(id_, spec)

"""The modules that are mutated, and the tests that must notice."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Target:
    """Modules with rules, and the unit tests that cover them.

    Args:
        modules: glob patterns; `without` names files among them that hold no rules.
        tests: paths for pytest.
    """

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]
    without: frozenset[str] = frozenset()

    def paths(self) -> Iterator[str]:
        """Yield the paths of the modules below the repository's root, sorted."""
        found = {path for pattern in self.modules for path in ROOT.glob(pattern)}
        for path in sorted(found):
            if path.name not in self.without:
                yield path.relative_to(ROOT).as_posix()

    @property
    def pytest_arguments(self) -> str:
        """Tests without random input, up to the first failure."""
        return (
            f"-x -q --no-header -p no:cacheprovider -m 'not hypothesis and not stack' {' '.join(self.tests)}"
        )


WIRING = frozenset({"__init__.py", "__main__.py", "handlers.py"})

TARGETS = (
    Target(
        "dispatcher",
        ("services/dispatcher/*.py",),
        ("tests/unit/dispatcher",),
        WIRING | {"timers.py", "wakeups.py", "circuits.py", "loras.py"},
    ),
    Target(
        "characters",
        ("services/characters/*.py",),
        ("tests/unit/characters",),
        WIRING | {"timers.py", "job_reader.py"},
    ),
    Target(
        "gateway lifecycle",
        ("services/gateways/runtime/lifecycle/*.py",),
        ("tests/unit/gateways/lifecycle",),
    ),
    Target(
        "content checks",
        (
            *(f"services/result_store/{form}_parts.py" for form in ("png", "jpeg", "webp")),
            *(f"services/result_store/{name}.py" for name in ("images", "parts", "sizes", "weights")),
        ),
        ("tests/unit/result_store", "tests/component/test_result_store_pixels.py"),
    ),
    Target("fold", ("shared/fold.py",), ("tests/unit/shared/test_fold.py",)),
    Target("leases", ("shared/mongo/leases.py",), ("tests/unit/gateways/test_lease.py",)),
    Target(
        "outbox",
        ("shared/outbox.py",),
        (
            "tests/unit/shared/test_outbox.py",
            "tests/unit/shared/test_outbox_publishing.py",
            "tests/unit/shared/test_outbox_store.py",
        ),
    ),
)

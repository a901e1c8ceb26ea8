"""Prints the matrix as a table when it is run by itself, checks all rows together, and counts."""

from pathlib import Path

import pytest

from tests.faults.accounting import TAKEN, discrepancies, together, unpacked
from tests.faults.table import tables

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    asked = {Path(argument.partition("::")[0]).resolve() for argument in config.args}
    alone = bool(asked) and all(path == HERE or HERE in path.parents for path in asked)
    if alone and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Matrix(config), "fault-matrix")


class Matrix:
    """Collects the rows wherever they ran."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._rows: dict[int, list[str]] = {}
        self._accounts: list[dict[str, list[dict[str, object]]]] = []
        self._passed = self._failed = 0
        self._wrong: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and not report.failed:
            return
        self._passed += report.passed
        self._failed += not report.passed
        noted = dict(report.user_properties)
        if isinstance(row := noted.get("row"), list):
            self._rows[row[0]] = [*row[1:], "ok" if report.passed else "FAILED"]
        if isinstance(account := noted.get("account"), dict):
            self._accounts.append(account)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._failed += report.failed

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """All rows together are one more thing that can fail."""
        if not self._accounts:
            return
        self._wrong = discrepancies(together(unpacked(account) for account in self._accounts))
        self._passed += not self._wrong
        self._failed += bool(self._wrong)
        if self._wrong and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """Later than pytest's own last line."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        rows = [self._rows[at] for at in sorted(self._rows)]
        for line in (*tables(rows), *self._summary()):
            reporter.write_line(line)
        reporter.write_line(f"{self._passed} passed, {self._failed} failed")

    def _summary(self) -> list[str]:
        """Return the problems of all rows together, or the totals."""
        if self._wrong:
            return [f"all rows together: {wrong}" for wrong in self._wrong]
        if not self._accounts:
            return []
        account = together(unpacked(each) for each in self._accounts)
        untaken = sum(sent.outcome != TAKEN for sent in account.sent)
        return [
            f"all rows together: {len(account.entries)} ledger entries, {len(account.sent)} sent, "
            f"{untaken} of them without an id in return; {len(account.taken)} in the providers' books, "
            "each of exactly one entry",
        ]

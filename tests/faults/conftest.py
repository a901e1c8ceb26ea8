"""Prints the matrix as a table when it is run by itself, and the count as the last line."""

import pytest

TITLES = ("provider", "what happens", "ledger", "billed", "said", "sent", "taken", "result")


def pytest_configure(config: pytest.Config) -> None:
    alone = [argument.rstrip("/") for argument in config.args] == ["tests/faults"]
    if alone and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Table(config), "fault-table")


class Table:
    """Collects the rows wherever they ran."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._rows: dict[int, list[str]] = {}
        self._counts = {"passed": 0, "failed": 0}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and not report.failed:
            return
        self._counts["passed" if report.passed else "failed"] += 1
        row = dict(report.user_properties).get("row")
        if isinstance(row, list):
            self._rows[row[0]] = [*row[1:], "ok" if report.passed else "FAILED"]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._counts["failed"] += report.failed

    def pytest_unconfigure(self) -> None:
        """Later than pytest's own last line."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        lines = [list(TITLES), *(self._rows[at] for at in sorted(self._rows))]
        widths = [max(len(line[column]) for line in lines) for column in range(len(TITLES))]
        lines.insert(1, ["-" * width for width in widths])
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            reporter.write_line(f"| {' | '.join(cells)} |")
        reporter.write_line("")
        reporter.write_line(f"{self._counts['passed']} passed, {self._counts['failed']} failed")

"""Figures of a measurement, their comparison with recorded ones, and the tables of the page."""

from pathlib import Path

import pytest

from bench.contestants.contestant import IncompleteWork, Outcome, check_work
from bench.figures import Figures, figures
from bench.regression import NothingToCompare, merged, recorded_on, regressions
from bench.results import Machine, Percentiles, Results, Round, now
from bench.tables import tables, write_faster_mongo

PAGE = Path(__file__).parents[3] / "docs" / "performance.md"


def a_round(contestant: str, number: int, images: int) -> Round:
    return Round(
        contestant=contestant,
        number=number,
        images=images,
        seconds=10.0,
        repeated=0,
        cpu_ms={"worker": 4.0, "mongo": 3.0},
        own_groups=("worker",),
    )


def results(*rounds: Round, faster_mongo: bool = False) -> Results:
    machine = Machine(cores=2, python="3.11", broker="Apache Kafka", faster_mongo=faster_mongo, at=now())
    return Results(machine=machine, rounds=rounds)


def test_a_ratio_is_that_of_the_medians() -> None:
    counts = {"ours": (100, 300, 900), "floor": (400, 600, 500)}
    rounds = [a_round(name, n, count) for name, each in counts.items() for n, count in enumerate(each, 1)]
    found = figures(results(*rounds))
    assert (found["images_per_s"], found["floor_ratio"], found["rounds"]) == (30.0, 0.6, 3)


def test_figures_without_a_measurement_are_none() -> None:
    found = figures(results(a_round("ours", 1, 100)))
    assert {found["temporal_ratio"], found["latency_p50_ms"], found["growth_ratio"]} == {None}


def test_the_cpu_time_of_servers_is_not_that_of_the_contestant() -> None:
    assert figures(results(a_round("ours", 1, 100)))["cpu_ms_per_image"] == 4.0


def test_a_fifth_less_is_a_regression_and_a_tenth_is_not() -> None:
    before = {"floor_ratio": 0.6, "celery_ratio": 6.0, "latency_p99_ratio": 1.0, "growth_ratio": None}
    now_ = {"floor_ratio": 0.55, "celery_ratio": 4.0, "latency_p99_ratio": 1.3, "growth_ratio": 9.0}
    assert regressions(now_, before) == ["celery_ratio was 6 and is 4", "latency_p99_ratio was 1 and is 1.3"]


def test_figures_of_another_broker_are_not_compared_and_the_reason_names_both(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    file.write_text('{"broker": "tansu", "floor_ratio": 0.6}')
    with pytest.raises(NothingToCompare, match=r"another broker, tansu, .* on Apache Kafka 4\.3\.1"):
        recorded_on("Apache Kafka 4.3.1", file)


def test_figures_of_another_version_of_the_broker_are_compared(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    file.write_text('{"broker": "Apache Kafka 4.2.0", "floor_ratio": 0.6}')
    assert recorded_on("Apache Kafka 4.3.1", file)["floor_ratio"] == 0.6


def test_without_recorded_figures_nothing_is_compared(tmp_path: Path) -> None:
    with pytest.raises(NothingToCompare, match=r"make bench writes recorded\.json first"):
        recorded_on("Apache Kafka 4.3.1", tmp_path / "recorded.json")


def test_recorded_figures_of_another_broker_are_dropped_and_of_the_same_one_kept() -> None:
    now_: Figures = {"broker": "Apache Kafka 4.3.1", "floor_ratio": 0.5, "growth_ratio": None}
    assert merged(now_, {"broker": "tansu", "growth_ratio": 0.9}) == {
        "broker": "Apache Kafka 4.3.1",
        "floor_ratio": 0.5,
    }
    earlier: Figures = {"broker": "Apache Kafka 4.2.0", "floor_ratio": 0.4, "growth_ratio": 0.9}
    assert merged(now_, earlier) == {
        "broker": "Apache Kafka 4.3.1",
        "floor_ratio": 0.5,
        "growth_ratio": 0.9,
    }


def test_a_contestant_that_leaves_an_image_out_is_not_compared() -> None:
    with pytest.raises(IncompleteWork, match="'objects': 9"):
        check_work("quick", Outcome(completed_jobs=10, attempts=10, assets=10, objects=9), 10, 10)


def test_a_single_job_has_percentiles() -> None:
    assert Percentiles.of([0.02]) == Percentiles(count=1, p50=20.0, p95=20.0, p99=20.0)


def test_a_part_that_was_not_measured_has_no_table() -> None:
    assert tables(results(a_round("ours", 1, 100))).keys() == {"machine", "throughput", "cpu"}


def test_rounds_with_a_faster_database_are_written_beside_the_main_table(tmp_path: Path) -> None:
    page, before = tmp_path / "performance.md", PAGE.read_text()
    page.write_text(before)
    write_faster_mongo(results(a_round("ours", 1, 100), faster_mongo=True), page)
    start, end = "<!-- faster_mongo -->", "<!-- /faster_mongo -->"
    assert "this platform" in page.read_text().partition(start)[2].partition(end)[0]
    assert page.read_text().partition(start)[0] == before.partition(start)[0]
    assert page.read_text().partition(end)[2] == before.partition(end)[2]

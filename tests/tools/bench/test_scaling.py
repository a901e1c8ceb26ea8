"""Properties of the scaling model, for rates that were never run."""

from itertools import pairwise
from pathlib import Path

import pytest

from bench.hops import PATH
from bench.results import InFlight, Machine, Percentiles, Results, Round, now
from bench.scaling.assumptions import RATES, Assumptions
from bench.scaling.costs import GATEWAY, Costs, costs_of, cpu_ms
from bench.scaling.limits import SLOTS, limits_by_rate
from bench.scaling.needs import Needs, needs
from bench.scaling.per_image import count, messages, polls, progress_of, writes
from bench.scaling.tables import UNMEASURED, scaling_tables, write_scaling
from contracts.catalog import PARTITIONS
from services.gateways.runtime.lifecycle.limits import MAX_IN_MEMORY

ASSUMED = Assumptions()
PAGE = Path(__file__).parents[3] / "docs" / "scaling.md"
SERVICES = ("prompt_builder", "dispatcher", GATEWAY, "result_store")
CPU = {**dict.fromkeys(SERVICES, 6.0), "kafka-1": 2.0, "kafka-2": 1.0, "mongo": 9.0, "s3": 5.0, "modal": 4.0}


def results(*, in_flight: bool = True, contestant: str = "ours") -> Results:
    machine = Machine(cores=2, python="3.11", broker="Apache Kafka", at=now())
    turn = Round(
        contestant=contestant,
        number=1,
        images=100,
        seconds=1.0,
        repeated=0,
        cpu_ms=CPU,
        own_groups=SERVICES,
    )
    flight = InFlight(
        provider="modal",
        attempts=100,
        kilobytes_each=2.0,
        cpu_percent=20.0,
        polls_per_s=50.0,
        delay=Percentiles(count=1, p50=1.0, p95=1.0, p99=1.0),
    )
    return Results(machine=machine, rounds=(turn,), in_flight=(flight,) if in_flight else ())


def measured(*, in_flight: bool = True) -> Costs:
    costs = costs_of(results(in_flight=in_flight))
    assert costs is not None
    return costs


def at(rate: float, **assumed: float) -> Needs:
    return needs(rate, measured(), ASSUMED.model_copy(update=assumed))


def figures(found: Needs) -> list[float]:
    stores, monthly_cost = found.stores, found.monthly_cost
    return [
        *(float(found.processes[name]) for name in SERVICES),
        *map(float, (found.slots, found.partitions, found.machines, found.brokers, found.mongo_nodes)),
        *(stores.kafka_mb_per_s, stores.kafka_disk_gb, stores.mongo_writes_per_s, stores.mongo_gb_per_day),
        *(stores.s3_puts_per_s, stores.s3_tb_per_month, stores.result_store_gbit_per_s),
        *(monthly_cost.gpus, monthly_cost.machines, monthly_cost.storage),
    ]


def test_a_doubled_rate_needs_twice_the_processes() -> None:
    once, twice = at(30_000.0).processes, at(60_000.0).processes
    for name in SERVICES:
        assert twice[name] == pytest.approx(2 * once[name], abs=1)


def test_a_process_is_busy_for_the_assumed_share() -> None:
    assert at(100.0, busy=0.6).processes["prompt_builder"] == 1  # 6 ms x 100/s is 0.6 of a core
    assert at(101.0, busy=0.6).processes["prompt_builder"] == 2


def test_no_figure_falls_when_the_rate_rises() -> None:
    found = [figures(at(rate)) for rate in RATES]
    for lower, higher in pairwise(found):
        assert all(a <= b for a, b in zip(lower, higher, strict=True))
    assert all(a < b for a, b in zip(found[0], found[-1], strict=True))


def test_slots_are_rate_times_seconds() -> None:
    assert (at(100.0, image_seconds=4.0).slots, at(100.0, image_seconds=8.0).slots) == (400, 800)


def test_a_gateway_holds_no_more_than_its_setting_allows() -> None:
    found = at(100.0, image_seconds=3 * MAX_IN_MEMORY / 100)
    assert found.processes[GATEWAY] >= 3


def test_a_lack_of_partitions_is_reported() -> None:
    assert not at(10.0).too_few_partitions
    busiest = max(ms for name, ms in cpu_ms(measured(), ASSUMED).items() if name in SERVICES)
    most = PARTITIONS * 1000 * ASSUMED.busy / busiest
    assert not at(0.99 * most).too_few_partitions
    assert at(1.01 * most).too_few_partitions
    assert f"(there are {PARTITIONS})" in scaling_tables(results(), ASSUMED)["processes"]


def test_money_is_the_sum_of_its_parts() -> None:
    cost = at(100.0).monthly_cost
    assert cost.total == cost.gpus + cost.machines + cost.storage
    assert at(100.0, gpu_second_usd=0.0).monthly_cost.total == pytest.approx(cost.total - cost.gpus)
    assert at(100.0, core_hour_usd=0.0).monthly_cost.total == pytest.approx(cost.total - cost.machines)
    free = dict.fromkeys(("s3_gb_month_usd", "s3_1000_puts_usd", "disk_gb_month_usd"), 0.0)
    assert at(100.0, **free).monthly_cost.total == pytest.approx(cost.total - cost.storage)


def test_all_nodes_of_the_broker_are_one_cost_and_the_provider_is_none() -> None:
    assert measured().cpu_ms == {**dict.fromkeys(SERVICES, 6.0), "kafka": 3.0, "mongo": 9.0, "s3": 5.0}


def test_each_poll_costs_what_was_measured_in_flight() -> None:
    without = cpu_ms(measured(in_flight=False), ASSUMED)[GATEWAY]
    polled = cpu_ms(measured(), ASSUMED)[GATEWAY]
    assert polled - without == pytest.approx(4.0 * progress_of(ASSUMED.image_seconds))  # 200 ms/s, 50 polls/s


def test_an_instant_image_is_polled_once_and_reports_no_progress() -> None:
    assert (polls(0.0), progress_of(0.0)) == (1, 0)
    assert cpu_ms(measured(), Assumptions(image_seconds=0.01, picture_cpu_ms=0.0)) == pytest.approx(
        {**dict.fromkeys(SERVICES, 6.0), "kafka": 3.0, "mongo": 9.0}
    )


def test_a_progress_report_is_one_write_and_two_messages() -> None:
    assert count(writes(5)) - count(writes(4)) == 1
    assert count(messages(5)) - count(messages(4)) == 2


def test_the_messages_pass_all_measured_hops() -> None:
    assert {topic for _, topic in PATH} <= {each.topic for each in messages(0)}


def test_the_first_limit_reached_is_the_lowest_one() -> None:
    limits = limits_by_rate(measured(), ASSUMED)
    rates = [each.images_per_s for each in limits]
    assert rates == sorted(rates)
    assert (limits[0].name, rates[0]) == ("`MODAL_SLOTS` at its default", SLOTS / ASSUMED.image_seconds)


def test_a_partition_limit_is_the_rate_at_which_partitions_run_out() -> None:
    limits = {each.name: each.images_per_s for each in limits_by_rate(measured(), ASSUMED)}
    rate = limits["dispatcher, one process per partition"]
    assert at(0.999 * rate).processes["dispatcher"] == PARTITIONS
    assert at(1.001 * rate).processes["dispatcher"] == PARTITIONS + 1


@pytest.mark.parametrize("nothing", [None, results(contestant="floor")], ids=["no results", "not ours"])
def test_unmeasured_parts_are_marked_and_the_others_are_written(nothing: Results | None) -> None:
    found = scaling_tables(nothing, ASSUMED)
    unmeasured = {name for name, part in found.items() if part == UNMEASURED}
    assert unmeasured == {"measured", "costs", "processes", "money", "limits"}
    assert all(found.values())


def test_a_gateway_without_measured_memory_has_none() -> None:
    assert needs(10.0, measured(in_flight=False), ASSUMED).gateway_mb is None


def test_the_page_has_a_place_for_each_table(tmp_path: Path) -> None:
    page = tmp_path / PAGE.name
    page.write_text(PAGE.read_text())
    write_scaling(results(), page)
    assert UNMEASURED not in page.read_text()


def test_the_page_agrees_with_the_code() -> None:
    """Compare the parts that depend on code and assumptions alone; `python -m bench.scaling` writes them."""
    written = PAGE.read_text()
    for name, part in scaling_tables(None, ASSUMED).items():
        if part != UNMEASURED:
            assert f"<!-- {name} -->\n{part}\n<!-- /{name} -->" in written, (
                "python -m bench.scaling writes it"
            )

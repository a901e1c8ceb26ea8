"""Resources that a rate of images needs: processes, partitions, slots, machines and money."""

import math
from dataclasses import dataclass

from bench.contestants.ours import IMAGE_PATH_SERVICES
from bench.scaling.assumptions import DAY, HOUR, MONTH_DAYS, Assumptions
from bench.scaling.costs import GATEWAY, Costs, cpu_ms
from bench.scaling.stores import Stores
from contracts.catalog import PARTITIONS
from services.gateways.runtime.lifecycle.limits import MAX_IN_MEMORY


def littles_law(rate: float, seconds: float) -> int:
    """Return the number of jobs in flight at a rate and a duration, by Little's law."""
    return math.ceil(rate * seconds)


@dataclass(frozen=True)
class MonthlyCost:
    """Costs in USD per month."""

    gpus: float
    machines: float
    storage: float

    @property
    def total(self) -> float:
        return self.gpus + self.machines + self.storage


@dataclass(frozen=True)
class Needs:
    """Resources for a rate of images, by the measured costs."""

    stores: Stores
    slots: int
    """Concurrent attempts at the provider, and so GPUs."""
    processes: dict[str, int]
    """Processes by service; each has a core."""
    brokers: int
    mongo_nodes: int
    service_machines: int
    gateway_mb: float | None
    """Memory of one gateway process with its part of the slots; None if it was not measured."""
    monthly_cost: MonthlyCost

    @property
    def machines(self) -> int:
        """Own machines: services, Kafka, MongoDB."""
        return self.service_machines + self.brokers + self.mongo_nodes

    @property
    def images_per_month(self) -> float:
        return self.stores.rate * MONTH_DAYS * DAY

    @property
    def partitions(self) -> int:
        """Partitions per topic: a consumer group has no more busy processes than partitions."""
        return max(self.processes.values())

    @property
    def too_few_partitions(self) -> bool:
        """True if the catalog declares fewer partitions."""
        return self.partitions > PARTITIONS


def needs(rate: float, costs: Costs, assumed: Assumptions) -> Needs:
    """Return the resources for a rate of images."""
    stores, each_ms = Stores(rate, assumed), cpu_ms(costs, assumed)
    cores = {name: rate * ms / 1000 / assumed.busy for name, ms in each_ms.items()}
    machines = {name: number / assumed.cores_per_machine for name, number in cores.items()}
    slots = littles_law(rate, assumed.image_seconds)
    processes = {name: math.ceil(cores[name]) for name in IMAGE_PATH_SERVICES}
    processes[GATEWAY] = max(processes[GATEWAY], math.ceil(slots / MAX_IN_MEMORY))
    brokers = max(stores.brokers, math.ceil(machines["kafka"] * assumed.replication))
    mongo_nodes = assumed.replication * max(stores.shards, math.ceil(machines["mongo"]))
    service_machines = math.ceil(sum(processes.values()) / assumed.cores_per_machine)
    all_cores = (service_machines + brokers + mongo_nodes) * assumed.cores_per_machine
    return Needs(
        stores=stores,
        slots=slots,
        processes=processes,
        brokers=brokers,
        mongo_nodes=mongo_nodes,
        service_machines=service_machines,
        gateway_mb=_gateway_mb(costs, slots / processes[GATEWAY]),
        monthly_cost=MonthlyCost(
            gpus=gpu_usd_per_month(rate, assumed),
            machines=all_cores * assumed.core_hour_usd * MONTH_DAYS * DAY / HOUR,
            storage=stores.usd_per_month,
        ),
    )


def gpu_usd_per_month(rate: float, assumed: Assumptions) -> float:
    """Return the cost of GPUs, which are billed by the second while they draw."""
    return rate * assumed.image_seconds * assumed.gpu_second_usd * MONTH_DAYS * DAY


def _gateway_mb(costs: Costs, attempts: float) -> float | None:
    if costs.attempt_kb is None or costs.gateway_mb is None:
        return None
    return costs.gateway_mb + attempts * costs.attempt_kb / 1024

"""Measured costs of one image, and their values with a real provider and real pictures."""

from dataclasses import dataclass

from bench.contestants.ours import IMAGE_PATH_SERVICES
from bench.cpu import cpu_by_group
from bench.in_flight import MAX_COMMANDS
from bench.results import InFlight, Results
from bench.scaling.assumptions import Assumptions
from bench.scaling.per_image import MEASURED_PROGRESS, count, messages, progress_of, writes

GATEWAY = "gateways.modal"
DISPATCHED = 2
"""Messages of an image that the dispatcher handles besides progress: its plan and its stored result."""


@dataclass(frozen=True)
class Costs:
    """Measured costs; None for unmeasured ones."""

    cpu_ms: dict[str, float]
    """CPU ms per image by service on its path, and by server (`kafka`: all nodes together)."""
    poll_ms: float | None = None
    """CPU ms of the Modal gateway for one poll of one attempt, when polls are most of its work."""
    attempt_kb: float | None = None
    """Memory in kB of one attempt in flight at Modal."""
    gateway_mb: float | None = None
    """Memory in MB of the idle Modal gateway."""


def costs_of(results: Results | None) -> Costs | None:
    """Return the costs, or None without a measured round of this platform."""
    groups = cpu_by_group(results.rounds, "ours") if results else {}
    if results is None or not groups:
        return None
    kafka = sum(ms for name, ms in groups.items() if name == "kafka" or name.startswith("kafka-"))
    known = {name: groups[name] for name in (*IMAGE_PATH_SERVICES, "mongo", "s3")}
    modal = [each for each in results.in_flight if each.provider == "modal"]
    most = max(modal, key=lambda each: each.attempts, default=None)
    few = (each for each in modal if each.attempts <= MAX_COMMANDS)
    polled = max(few, key=lambda each: each.attempts, default=None)
    idle = [each.memory_mb for each in results.start_up if each.service == GATEWAY]
    return Costs(
        cpu_ms=known | {"kafka": kafka},
        poll_ms=_poll_ms(polled) if polled else None,
        attempt_kb=most.kilobytes_each if most else None,
        gateway_mb=idle[0] if idle else None,
    )


def _poll_ms(flight: InFlight) -> float | None:
    """Return the CPU ms per poll; one percent of a core is 10 ms of CPU per second."""
    return 10 * flight.cpu_percent / flight.polls_per_s if flight.polls_per_s else None


def cpu_ms(costs: Costs, assumed: Assumptions) -> dict[str, float]:
    """Return the CPU ms per image by service and own server, with progress and pictures as assumed."""
    progress = progress_of(assumed.image_seconds)
    more_messages = count(messages(progress)) / count(messages(MEASURED_PROGRESS))
    more_writes = count(writes(progress)) / count(writes(MEASURED_PROGRESS))
    found = costs.cpu_ms
    return {
        "prompt_builder": found["prompt_builder"],
        "dispatcher": found["dispatcher"] * (DISPATCHED + progress) / DISPATCHED,
        GATEWAY: found[GATEWAY] + progress * (costs.poll_ms or 0.0),
        "result_store": found["result_store"] + assumed.picture_cpu_ms,
        "kafka": found["kafka"] * more_messages,
        "mongo": found["mongo"] * more_writes,
    }

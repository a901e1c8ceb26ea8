"""Event loops of the tests (without servers, they skip time), profiles of properties, one Kafka."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck, settings

from tests.fakes.skipping_time import SkippingLoop

sys.dont_write_bytecode = False  # rewriting all assertions again is slower than most tests

HERE = Path(__file__).parent
WITHOUT_SERVERS = ("unit", "component", "modal_app", "tools")

for name, examples in (("quick", 25), ("thorough", 150)):
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("quick")

structlog.configure(  # the default, but plain tracebacks: a drawn one takes longer than most tests
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

gc.disable()  # until all tests are collected: nothing is garbage, and a search takes a second


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    level = item.path.relative_to(HERE).parts[0]
    return {"skipping": SkippingLoop} if level in WITHOUT_SERVERS else {"real": asyncio.new_event_loop}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def workers_kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Yield the address of a Kafka that runs until this pytest worker ends."""
    from tests.servers import running_kafka  # slow to import, and not needed by tests without servers

    async with running_kafka(tmp_path_factory.mktemp("kafka")) as bootstrap:
        yield bootstrap


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(workers_kafka: str) -> str:
    """Return the address of the worker's Kafka, without topics and offsets of earlier modules."""
    from tests.servers import remove_topics

    await remove_topics(workers_kafka)
    return workers_kafka

"""Event loops of the tests (those that need no server do not sleep) and profiles of the properties."""

import asyncio
import gc
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.fakes.skipping_time import SkippingLoop

sys.dont_write_bytecode = False  # rewriting the assertions of all tests takes longer than most of them

HERE = Path(__file__).parent
WITHOUT_SERVERS = ("unit", "component", "modal_app", "tools")

for name, examples in (("quick", 25), ("thorough", 150)):
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("quick")

structlog.configure(  # as it is by itself, but for tracebacks: drawing one takes longer than most tests
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

gc.disable()  # until all is collected: nothing of it is garbage, and looking for some takes a second


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    level = item.path.relative_to(HERE).parts[0]
    return {"skipping": SkippingLoop} if level in WITHOUT_SERVERS else {"real": asyncio.new_event_loop}

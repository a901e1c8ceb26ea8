"""structlog, once per process: JSON for machines, colours on a terminal."""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import structlog

from shared.settings import ProcessSettings
from shared.url_credentials import redacted

REPEAT_SECONDS: Final = 30.0
MOST_LINES: Final = 1000
KEY_CHARACTERS: Final = 200


def configure_logs(service: str, settings: ProcessSettings) -> None:
    """Write our lines and those of libraries to standard error in one format."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, redact_credentials, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact_credentials,
                renderer,
            ],
        )
    )
    handler.addFilter(Repetitions())
    logging.getLogger("aiokafka.consumer.fetcher").setLevel(logging.INFO)  # offsets that are gone
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def redact_credentials(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove the credentials of URLs from every text of a log line, tracebacks included."""
    return {name: redacted(value) if isinstance(value, str) else value for name, value in event.items()}


def framework_logger(name: str) -> logging.Logger:
    """Return a logger for a framework, whose lines are written as ours are.

    A framework's logger of its own name may have a handler and a format of its own.
    """
    return logging.getLogger(f"imagegen.{name}")


class Repetitions(logging.Filter):
    """Lets a line of a library through once per interval, with the number of repetitions before it.

    A client that waits for a server logs that many times per second.
    """

    def __init__(self, seconds: float = REPEAT_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._lines: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        key = record.name, record.levelno, record.getMessage()[:KEY_CHARACTERS]
        time = self._clock()
        last, repeated = self._lines.get(key, (-self._seconds, 0))
        if time - last < self._seconds:
            self._lines[key] = last, repeated + 1
            return False
        if len(self._lines) >= MOST_LINES:
            self._lines = {k: seen for k, seen in self._lines.items() if time - seen[0] < self._seconds}
        if len(self._lines) >= MOST_LINES:
            self._lines.clear()
        self._lines[key] = time, 0
        if repeated:
            record.msg, record.args = f"{record.getMessage()} ({repeated} more like this)", None
        return True

"""Lines of libraries: written as ours are, and not again and again."""

import json
import logging
import subprocess
import sys

from shared.observability.logs import Repetitions

SCRIPT = """
import logging
from shared.observability.logs import configure_logs
from shared.settings import ProcessSettings
configure_logs("worker", ProcessSettings(log_format="json"))
for _ in range(1000):
    logging.getLogger("aiokafka.consumer.fetcher").error("Failed fetch messages from %s: %s", 1, "away")
logging.getLogger("faststream").error("Kafka error occurred")
logging.getLogger("uvicorn.error").error("Exception in ASGI application")
"""


def _line(text: str, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", level, __file__, 1, text, None, None)


def test_frameworks_log_through_ours_and_a_line_that_is_repeated_is_written_once() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["service"], line["level"], line["event"]) for line in lines] == [
        ("worker", "error", "Failed fetch messages from 1: away"),
        ("worker", "error", "Kafka error occurred"),
        ("worker", "error", "Exception in ASGI application"),
    ]


def test_a_repeated_line_comes_again_after_the_interval_with_the_number_left_out() -> None:
    time = 0.0
    filter_ = Repetitions(30.0, lambda: time)
    assert [filter_.filter(_line("away")) for _ in range(5)] == [True, False, False, False, False]
    assert filter_.filter(_line("back")), "another line is not held back"
    time = 30.0
    again = _line("away")
    assert filter_.filter(again)
    assert again.getMessage() == "away (4 more like this)"


def test_ever_different_lines_take_a_bounded_amount_of_memory() -> None:
    filter_ = Repetitions(30.0, lambda: 0.0)
    assert all(filter_.filter(_line(f"line {number}")) for number in range(5000))
    assert len(filter_._lines) <= 1000

"""Start-up reports what it waits for until the process is ready."""

from shared.observability.health import Health
from shared.startup import Startup


async def test_a_process_is_starting_until_it_is_finished() -> None:
    startup = Startup(Health())
    assert (startup.summary(), await startup.problem()) == ("starting", "starting")
    startup.finish()
    assert await startup.problem() is None


async def test_servers_that_are_waited_for_are_named() -> None:
    startup = Startup(Health())
    startup.report("Kafka", "waiting for Kafka at a:1")
    startup.report("S3", "waiting for S3 at b:2")
    assert startup.summary() == "waiting for Kafka at a:1; waiting for S3 at b:2"
    startup.report("Kafka", None)
    assert await startup.problem() == "waiting for S3 at b:2"

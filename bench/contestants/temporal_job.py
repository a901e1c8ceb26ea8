"""The steps as a Temporal workflow of activities: `python -m bench.contestants.temporal_job`."""

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

with workflow.unsafe.imports_passed_through():
    from bench.contestants.children import signal_ready
    from bench.contestants.steps import Steps

Document = dict[str, Any]
QUEUE: Final = "bench"
THREADS: Final = 16
TIMEOUT: Final = timedelta(seconds=60)
ORDER: Final = ("plan", "open_job", "render", "store", "complete", "notify")


@workflow.defn
class GenerateImage:
    """Six activities in sequence; each gets the result of the previous one."""

    @workflow.run
    async def run(self, request: Document) -> None:
        given: Any = request
        for name in ORDER:
            given = await workflow.execute_activity(name, given, start_to_close_timeout=TIMEOUT)


def activities(steps: Steps) -> list[Callable[..., Any]]:
    """Return one activity per step, under the step's name."""
    return [activity.defn(name=name)(_named(getattr(steps, name), name)) for name in ORDER]


def _named(step: Callable[[Document], Document | None], name: str) -> Callable[[Document], Document | None]:
    """Return a new function for a step, because Temporal sets attributes on it."""

    def act(given: Document) -> Document | None:
        return step(given)

    act.__name__ = name
    return act


async def main() -> None:
    """Run one worker until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    with ThreadPoolExecutor(THREADS) as threads:
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[GenerateImage],
            activities=activities(Steps(os.environ)),
            activity_executor=threads,
            max_concurrent_activities=THREADS,
            workflow_runner=UnsandboxedWorkflowRunner(),  # the sandbox costs time and has no use here
        )
        async with worker:
            signal_ready(os.environ)
            await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())

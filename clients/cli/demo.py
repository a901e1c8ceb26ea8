"""imagegen demo: run every type of request on a stack of its own, and write a contact sheet"""

import asyncio
import json
import logging
import signal
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from rich.console import Console

from clients.cli.contact_sheet import write_sheet
from clients.cli.demo_jobs import Demo, DemoJob
from clients.cli.demo_requests import JOBS, LORAS
from clients.cli.demo_stack import demo_stack, discard, prepare_broker
from clients.cli.errors import CommandFailed
from clients.cli.output_folders import check_folder, folder_named
from clients.cli.progress_display import jobs_with_bars, live, one_line
from imagegen_client import ImagegenError

SECONDS = 300
INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for images, index.html and events.jsonl.", parser=folder_named)
    ] = Path("out/demo"),
    latency_seconds: Annotated[
        float, typer.Option(min=0, help="Duration of a simulated render, in seconds.")
    ] = 1.0,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Keep the data and logs of the stack in this folder.",
            show_default=False,
            parser=folder_named,
        ),
    ] = None,
) -> None:
    """Request each type over Kafka and HTTP on a stack of its own, train a LoRA and use it.

    Needs no set-up and does not affect a running stack. With KAFKA_BOOTSTRAP=host:port it uses that Kafka,
    which no other stack may use at the same time. The last line of the output is a summary as JSON.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    check_folder(out)
    check_folder(state, "--state")
    folder = state or out / ".stack"
    if state is None:
        discard(folder)
    try:
        code = asyncio.run(_run_demo(out, folder, latency_seconds))
    except asyncio.CancelledError:
        code = INTERRUPTED
    if state is None and code != 1:
        discard(folder)
    raise typer.Exit(code)


async def _run_demo(out: Path, folder: Path, latency_seconds: float) -> int:
    _cancel_on_signal()
    started, console = monotonic(), Console(highlight=False)
    demo = Demo(out, lambda job: _print_end(console, job))
    error = await _run(demo, console, folder, latency_seconds)
    jobs = demo.jobs
    completed = sum(job.progress.status == "completed" for job in jobs)
    images = sum(len(job.images) for job in jobs)
    loras = sum(len(job.loras) for job in jobs)
    seconds = round(monotonic() - started, 1)
    if jobs:
        _print(console, f"Contact sheet: {write_sheet(jobs, out, seconds)}")
    succeeded = not error and (completed, loras) == (JOBS, LORAS)
    if not succeeded:
        typer.echo(f"imagegen: {error or 'not all jobs completed'}\nlogs: {folder / 'logs'}", err=True)
    counts = {"jobs": JOBS, "completed": completed, "failed": JOBS - completed, "images": images}
    typer.echo(json.dumps(counts | {"loras": loras, "seconds": seconds}))
    return 0 if succeeded else 1


async def _run(demo: Demo, console: Console, folder: Path, latency_seconds: float) -> str | None:
    """Run the demo on its stack and return the error that ended it, if there was one."""
    report = partial(_print, console)
    try:
        outside = await prepare_broker(report)
        report("Starting broker, stores, simulated providers and services …")
        async with asyncio.timeout(SECONDS), demo_stack(folder, latency_seconds, outside) as stack:
            with live(console, lambda: jobs_with_bars((job.heading, job.progress) for job in demo.jobs)):
                await demo.run(stack)
            report("Stopping …")
    except TimeoutError:
        return f"the demo did not end within {SECONDS} s"
    except (CommandFailed, ImagegenError, KafkaError, OSError) as error:
        return str(error) or type(error).__name__
    return None


def _cancel_on_signal() -> None:
    """Cancel this task on the first signal, so that the stack is stopped in order; ignore later ones."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        if not task.cancelling():
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, cancel)


def _print_end(console: Console, job: DemoJob) -> None:
    if not console.is_terminal:
        _print(console, one_line(job.heading, job.progress))


def _print(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False)

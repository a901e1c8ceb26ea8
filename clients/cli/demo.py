"""imagegen demo: a stack of its own, a character from her first face to her LoRA, a contact sheet"""

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
from clients.cli.demo_requests import JOBS, LORAS
from clients.cli.demo_run import Asked, Demo
from clients.cli.demo_stack import demo_stack, discard, prepare_broker
from clients.cli.errors import CommandFailed
from clients.cli.folders import check_folder
from clients.cli.progress import jobs_with_bars, live, one_line

SECONDS = 300
INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    out: Annotated[Path, typer.Option(help="For images, index.html, events.jsonl.")] = Path("out/demo"),
    latency_seconds: Annotated[float, typer.Option(min=0, help="How long a simulated render takes.")] = 1.0,
    state: Annotated[
        Path | None, typer.Option(help="Keep the stack's data and logs here.", show_default=False)
    ] = None,
) -> None:
    """Start a stack of its own, ask for one of each type over Kafka and HTTP, train a LoRA and use it.

    Needs no set-up and disturbs no stack that runs. KAFKA_BOOTSTRAP=host:port uses a Kafka of your own,
    which no other stack may use meanwhile. The last line is a summary as JSON.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    check_folder(out)
    check_folder(state, "--state")
    folder = state or out / ".stack"
    if state is None:
        discard(folder)
    try:
        code = asyncio.run(_show(out, folder, latency_seconds))
    except asyncio.CancelledError:
        code = INTERRUPTED
    if state is None and code != 1:
        discard(folder)
    raise typer.Exit(code)


async def _show(out: Path, folder: Path, latency_seconds: float) -> int:
    _end_by_signal()
    started, console = monotonic(), Console(highlight=False)
    demo = Demo(out, lambda asked: _say_end(console, asked))
    error = await _run(demo, console, folder, latency_seconds)
    asked = demo.asked
    completed = sum(each.job.status == "completed" for each in asked)
    images = sum(len(each.images) for each in asked)
    loras = sum(len(each.loras) for each in asked)
    seconds = round(monotonic() - started, 1)
    if asked:
        _say(console, f"Look at {write_sheet(asked, out, seconds)}")
    good = not error and (completed, loras) == (JOBS, LORAS)
    if not good:
        why = error or "not all jobs completed"
        typer.echo(f"imagegen: {why}\nlogs: {folder / 'logs'}", err=True)
    counts = {"jobs": JOBS, "completed": completed, "failed": JOBS - completed, "images": images}
    typer.echo(json.dumps(counts | {"loras": loras, "seconds": seconds}))
    return 0 if good else 1


async def _run(demo: Demo, console: Console, folder: Path, latency_seconds: float) -> str | None:
    """Return the failure, if there was one."""
    say = partial(_say, console)
    try:
        outside = await prepare_broker(say)
        say("Starting broker, stores, simulated providers and services …")
        async with asyncio.timeout(SECONDS), demo_stack(folder, latency_seconds, outside) as stack:
            with live(console, lambda: jobs_with_bars((each.heading, each.job) for each in demo.asked)):
                await demo.run(stack)
            say("Stopping …")
    except TimeoutError:
        return f"the demo did not end within {SECONDS} s"
    except (CommandFailed, KafkaError, OSError) as error:
        return str(error) or type(error).__name__
    return None


def _end_by_signal() -> None:
    """The first signal cancels this task, so that the stack is stopped in order; others are ignored."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def end() -> None:
        if not task.cancelling():
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, end)


def _say_end(console: Console, asked: Asked) -> None:
    if not console.is_terminal:
        _say(console, one_line(asked.heading, asked.job))


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False)

"""Start, stop and show the stack of this machine: python -m deploy.local up | run | down | status"""

import argparse
import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from deploy.local.apache_kafka.fetching import CannotFetchKafka
from deploy.local.apache_kafka.install import install
from deploy.local.brokers import ExternalBroker
from deploy.local.missing import MissingServer
from deploy.local.processes import ProcessFailed
from deploy.local.progress import starting_now
from deploy.local.providers import (
    ProviderNotUsable,
    RealProviders,
    real_providers,
    with_options,
)
from deploy.local.servers import ROOT, SIMULATORS, STORES
from deploy.local.services import SERVICES
from deploy.local.stack import Stack, StackOptions
from deploy.local.state import AlreadyRunning, StackState, StateFolder, kill_leftovers
from shared.errors import StartupError
from shared.settings import read_settings

DEFAULT_STATE = Path(".imagegen")
FAILURES = (
    AlreadyRunning,
    CannotFetchKafka,
    MissingServer,
    ProcessFailed,
    ProviderNotUsable,
    StartupError,
)
START_SECONDS = 270.0
STOP_SECONDS = 45.0
NOT_RUNNING = 3
"""Exit code of `status` when no stack runs, as service managers use it."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except FAILURES as error:
        print(error, file=sys.stderr)
        return 1
    return code


def up(options: argparse.Namespace) -> int:
    """Start the stack in the background and return when it is ready."""
    folder = StateFolder(options.state)
    if (pid := folder.holder()) is not None:
        raise AlreadyRunning(folder.path, pid)
    environment = with_options(os.environ, comfyui=options.comfyui, modal=options.modal, fal=options.fal)
    real_providers(environment)  # fail here when a variable is missing
    if not read_settings(ExternalBroker).bootstrap:
        asyncio.run(install(_print_line))
    folder.create()
    log = folder.logs / "supervisor.log"
    again = ["--state", str(folder.path), "--latency-seconds", str(options.latency_seconds)]
    again += ["--services", ",".join(_services(options)), "--instances", options.instances]
    again += ["--ports", options.ports or ("fixed" if _is_default(options.state) else "free")]
    again += ["--only", options.only] if options.only else []
    with log.open("wb") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", "run", *again],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        return _wait_until_up(folder, supervisor, log)
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait(STOP_SECONDS)
        return 130


def _print_line(line: str) -> None:
    print(line, flush=True)


def _is_default(state: Path) -> bool:
    return state.absolute() == DEFAULT_STATE.absolute()


def _wait_until_up(folder: StateFolder, supervisor: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    progress = starting_now(_print_line)
    while time.monotonic() < deadline:
        state = folder.read()
        if state.supervisor == supervisor.pid:
            progress.show(state)
        if state.phase == "ready" and state.supervisor == supervisor.pid:
            print(table(state))
            supervisor.returncode = 0  # silences Popen: the supervisor outlives this process
            return 0
        if supervisor.poll() is not None:
            print(log.read_text(errors="replace").strip(), file=sys.stderr)
            return 1
        time.sleep(0.05)
    supervisor.terminate()
    print(f"Not ready after {START_SECONDS:g} s; see {log}", file=sys.stderr)
    return 1


def run(options: argparse.Namespace) -> int:
    """Run the stack in the foreground until a signal."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    return asyncio.run(_run(_stack_options(options)))


async def _run(options: StackOptions) -> int:
    loop, task, stop = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert task is not None

    def end() -> None:
        if not stop.is_set():
            stop.set()
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    with suppress(asyncio.CancelledError):
        async with Stack(options) as stack:
            print(table(stack.folder.read()), flush=True)
            await asyncio.Event().wait()
    return 0


def down(options: argparse.Namespace) -> int:
    """Stop the stack and wait until its processes have ended."""
    folder = StateFolder(options.state)
    pid = folder.holder()
    if pid is None:
        kill_leftovers(folder.read())
        print(f"No stack is running in {folder.path}.")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while folder.holder() == pid:
        if time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    kill_leftovers(folder.read())
    print("Stopped.")
    return 0


def status(options: argparse.Namespace) -> int:
    """Print the processes of the stack, as a table or as JSON."""
    folder = StateFolder(options.state)
    running = folder.holder() is not None
    state = folder.read() if running else StackState()
    if options.json:
        print(state.model_dump_json(include={"phase", "supervisor", "processes"}, indent=2))
    else:
        print(table(state) if running else f"No stack is running in {folder.path}. Start one with: make up")
    return 0 if running else NOT_RUNNING


def table(state: StackState) -> str:
    width = max((len(name) for name in state.processes), default=0)
    lines = [
        f"{name:<{width}}  {each.address:<28} {'ready' if each.ready else 'down':<6}"
        f" pid {each.pid or '-'}" + (f", {each.restarts} restarts" if each.restarts else "")
        for name, each in state.processes.items()
    ]
    lines += [
        f"{name:<{width}}  {address:<28} real provider" for name, address in state.real_providers.items()
    ]
    if outside := state.environment.get("KAFKA_BOOTSTRAP") if "kafka" not in state.processes else None:
        lines.append(f"{'kafka':<{width}}  {outside:<28} external broker")
    lines += [
        f"WARNING: port {port} of {name} is taken by another program; {name} listens on {state.ports[name]}"
        for name, port in state.moved.items()
    ]
    return "\n".join([*lines, f"stack is {state.phase}"])


def _stack_options(options: argparse.Namespace) -> StackOptions:
    services = _services(options)
    outside = read_settings(ExternalBroker)
    return StackOptions(
        state=options.state,
        bootstrap=outside.bootstrap,
        environment=outside.variables,
        real=RealProviders() if options.only else real_providers(),
        fixed_ports=options.ports == "fixed",
        stores=() if options.only == "broker" else STORES,
        simulators=() if options.only else SIMULATORS,
        services=services,
        instances=_instances(options.instances, services),
        latency_seconds=options.latency_seconds,
    )


def _services(options: argparse.Namespace) -> tuple[str, ...]:
    return () if options.only else tuple(filter(None, options.services.split(",")))


def _instances(text: str, services: tuple[str, ...]) -> dict[str, int]:
    if text.isdigit():
        return dict.fromkeys(services, int(text))
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name: int(count) for name, _, count in pairs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for command in (up, run, down, status):
        sub = commands.add_parser(command.__name__, help=command.__doc__)
        sub.set_defaults(command=command)
        sub.add_argument("--state", type=Path, default=DEFAULT_STATE, help="state folder")
        if command is status:
            sub.add_argument("--json", action="store_true")
        if command is up:
            sub.add_argument("--comfyui", metavar="URL", help="a real ComfyUI server")
            sub.add_argument("--modal", metavar="URL", help="our application on Modal")
            sub.add_argument("--fal", action="store_true", help="the real Fal, with FAL_KEY")
        if command in (up, run):
            sub.add_argument("--latency-seconds", type=float, default=0.5)
            sub.add_argument("--instances", default="1", help="2, or dispatcher=2,api=1")
            sub.add_argument("--only", choices=["broker", "servers"])
            sub.add_argument("--ports", choices=["fixed", "free"], help="fixed in the default state folder")
            sub.add_argument("--services", default=",".join(SERVICES))
    return parser


if __name__ == "__main__":
    sys.exit(main())

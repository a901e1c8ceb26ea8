"""Broker outages on demand, for tests."""

import signal
from collections.abc import Callable, Mapping

from deploy.local.brokers import Broker, node_name
from deploy.local.supervised import Supervised


class BrokerControl:
    """Kill, stop, pause and restart single broker nodes, numbered from 1. A stopped node is not restarted."""

    def __init__(
        self, broker: Broker, processes: Mapping[str, Supervised], changed: Callable[[], None]
    ) -> None:
        self.nodes = broker.nodes
        self._processes = processes
        self._changed = changed

    async def kill(self, number: int = 1) -> None:
        """Send SIGKILL, as in a crash."""
        await self._close(number, grace_seconds=0.0)

    async def stop(self, number: int = 1) -> None:
        """Send SIGTERM and wait until the node has ended."""
        await self._close(number, grace_seconds=None)

    async def start(self, number: int = 1) -> None:
        """Start the node on the same data and ports and return when it answers.

        Raises:
            ProcessFailed: with the node's address and the end of its log.
        """
        process = self._node(number)
        if process.pid is None:
            await process.start()
            self._changed()

    async def pause(self, number: int = 1) -> None:
        """Send SIGSTOP: the node neither answers nor closes its connections."""
        await self._node(number).send(signal.SIGSTOP)

    async def resume(self, number: int = 1) -> None:
        """Send SIGCONT after `pause`."""
        await self._node(number).send(signal.SIGCONT)

    async def _close(self, number: int, grace_seconds: float | None) -> None:
        process = self._node(number)
        await process.stop(grace_seconds)
        self._changed()

    def _node(self, number: int) -> Supervised:
        return self._processes[node_name(number)]

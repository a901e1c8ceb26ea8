"""Take the broker away and give it back, to test what happens then."""

import signal
from collections.abc import Callable, Mapping

from deploy.local.brokers import Broker, node_name
from deploy.local.supervised import Supervised


class BrokerControl:
    """One node at a time, by its number from 1. What is ended stays away until it is started again."""

    def __init__(
        self, broker: Broker, processes: Mapping[str, Supervised], changed: Callable[[], None]
    ) -> None:
        self.nodes = broker.nodes
        self._processes = processes
        self._changed = changed

    async def kill(self, number: int = 1) -> None:
        """SIGKILL, as in a crash."""
        await self._end(number, grace_seconds=0.0)

    async def stop(self, number: int = 1) -> None:
        """SIGTERM, and wait until it has ended."""
        await self._end(number, grace_seconds=None)

    async def start(self, number: int = 1) -> None:
        """On the data and the ports that it had; comes back when it answers.

        Raises:
            ProcessFailed: with its address and the end of its log.
        """
        process = self._node(number)
        if process.pid is None:
            await process.start()
            self._changed()

    async def pause(self, number: int = 1) -> None:
        """Stop the process with SIGSTOP: it neither answers nor closes its connections."""
        await self._node(number).send(signal.SIGSTOP)

    async def resume(self, number: int = 1) -> None:
        """Let the process go on after `pause`."""
        await self._node(number).send(signal.SIGCONT)

    async def _end(self, number: int, grace_seconds: float | None) -> None:
        process = self._node(number)
        await process.stop(grace_seconds)
        self._changed()

    def _node(self, number: int) -> Supervised:
        return self._processes[node_name(number)]

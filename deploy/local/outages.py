"""Taking the broker away and giving it back, for whoever wants to see what happens then."""

import signal
from collections.abc import Callable, Mapping

from deploy.local.brokers import Broker, node_name
from deploy.local.supervised import Supervised


class KeepsNothing(Exception):
    """The embedded broker cannot be ended and come back: its data would be gone."""

    def __init__(self) -> None:
        super().__init__("the embedded broker keeps its data in memory; only pause it, or use Apache Kafka")


class BrokerControl:
    """One node at a time, by its number from 1. What is ended stays away until it is started again."""

    def __init__(
        self, broker: Broker, processes: Mapping[str, Supervised], changed: Callable[[], None]
    ) -> None:
        self.nodes = broker.nodes
        self.keeps_data = broker.kind == "apache"
        self._processes = processes
        self._changed = changed

    async def kill(self, number: int = 1) -> None:
        """As a crash does: SIGKILL.

        Raises:
            KeepsNothing: for the embedded broker.
        """
        await self._end(number, grace_seconds=0.0)

    async def stop(self, number: int = 1) -> None:
        """In good order.

        Raises:
            KeepsNothing: for the embedded broker.
        """
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
        """It neither answers nor ends its connections."""
        await self._node(number).send(signal.SIGSTOP)

    async def resume(self, number: int = 1) -> None:
        """After `pause`."""
        await self._node(number).send(signal.SIGCONT)

    async def _end(self, number: int, grace_seconds: float | None) -> None:
        if not self.keeps_data:
            raise KeepsNothing
        process = self._node(number)
        await process.stop(grace_seconds)
        self._changed()

    def _node(self, number: int) -> Supervised:
        return self._processes[node_name(number)]

"""The real result-store behind the gateway: it fetches from the simulator, and stores in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from contracts.renders import RenderSucceeded
from services.result_store.assets import MongoAssets
from services.result_store.fetching import HttpFetch, sources
from services.result_store.handlers import Results
from services.result_store.image_store import ImageStore
from services.result_store.images import Limits
from services.result_store.pending_outputs import PendingOutputs
from services.result_store.settings import ComfyUIOutputs, FalOutputs, ModalOutputs
from shared.envelope import Envelope
from shared.outbox import MongoOutboxStore, Outbox
from tests.fakes.mongo import FakeCollection
from tests.fakes.publisher import FakePublisher, received
from tests.fakes.results import FakeBucket
from tests.fakes.waiting import background

PAUSES = (0.0,)
"""An output that does not come at once is asked for twice more."""


class Broker(FakePublisher):
    """The gateway's publisher; what it says of success is also handed on."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.succeeded: asyncio.Queue[RenderSucceeded] = asyncio.Queue()

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        await super().send(envelopes)
        for sent in envelopes:
            if sent.topic == RenderSucceeded.topic:
                self.succeeded.put_nowait(RenderSucceeded.model_validate_json(sent.body))


class ResultStore:
    """Takes results as they come, one by one."""

    def __init__(self, url: str, http: httpx.AsyncClient, broker: Broker, fetch_seconds: float) -> None:
        self.publisher = FakePublisher("result-store")
        self.bucket = FakeBucket()
        documents, limits = FakeCollection().mongo, Limits()
        assets = MongoAssets(documents)
        places = sources(
            ModalOutputs(base_url=url, key=SecretStr("wk-1"), secret=SecretStr("ws-1")),
            ComfyUIOutputs(base_url=url),
            FalOutputs(media_hosts=urlsplit(url).netloc),
        )
        storing = ImageStore(HttpFetch(http, places, limits.max_bytes), self.bucket, limits)
        outbox = Outbox(MongoOutboxStore(documents), self.publisher)
        self.late = PendingOutputs(
            assets,
            storing,
            self.bucket,
            outbox,
            fetch_seconds=10 * fetch_seconds,
            pauses=PAUSES,
        )
        self._results = Results(assets, storing, self.bucket, fetch_seconds=fetch_seconds, fetches_at_once=4)
        self._broker = broker

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Meanwhile results are stored, those that come slowly in the background."""
        async with AsyncExitStack() as stack:
            for loop in (self._take, self.late.run):
                await stack.enter_async_context(background(loop))
            yield

    async def _take(self) -> None:
        while True:
            result = await self._broker.succeeded.get()
            await self.publisher.publish(await self._results.store([received(result)]))

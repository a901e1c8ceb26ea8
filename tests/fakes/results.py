"""A result-store whose provider, bucket, broker and database are fakes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import Any, BinaryIO

from botocore.exceptions import EndpointConnectionError
from PIL.Image import Image

from contracts.base import Message, Provider
from contracts.renders import Output, RenderSucceeded, ResultStored, StoredImage
from services.result_store.assets import Asset, MongoAssets
from services.result_store.fetching import Fetch
from services.result_store.handlers import Results
from services.result_store.image_store import ImageStore
from services.result_store.images import Accepted, Limits, Preview, accept, encode_preview
from services.result_store.lora_store import LoraStore
from services.result_store.pending_outputs import PendingOutputs
from services.result_store.previews import MissingPreviews
from shared.clock import now
from shared.hashed_file import HashedFile
from shared.ids import uuid7
from shared.outbox import MongoOutboxStore, Outbox
from shared.s3 import Bucket, NoSuchObject
from tests.fakes.mongo import FakeCollection
from tests.fakes.provider import a_spec
from tests.fakes.publisher import FakePublisher, received
from tests.fakes.waiting import background, until

PATH = "/outputs/0.png"


class FakeBucket(Bucket):
    """Objects in memory; `puts` and `deleted` record the calls."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.puts: list[str] = []
        self.deleted: list[str] = []
        self.failures: list[Exception] = []
        self.refused: set[str] = set()
        """Endings of keys that cannot be put now."""
        self.deletions: list[Exception] = []

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if key.endswith(tuple(self.refused)):
            raise EndpointConnectionError(endpoint_url="https://bucket.example")
        self.puts.append(key)
        self.objects[key], self.types[key] = data, content_type

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        await self.put(key, file.read(), content_type)

    async def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise NoSuchObject(key)
        return self.objects[key]

    async def parts(self, key: str) -> AsyncGenerator[bytes, None]:
        yield await self.get(key)

    async def keys(self, prefix: str) -> list[str]:
        return [key for key in self.objects if key.startswith(prefix)]

    async def delete(self, key: str) -> None:
        if self.deletions:
            raise self.deletions.pop(0)
        self.deleted.append(key)
        self.objects.pop(key, None)


class FakeFetch(Fetch):
    """Outputs by path: bytes, or an error. One in `slow` comes when its event is set."""

    def __init__(self) -> None:
        self.outputs: dict[str, bytes | Exception] = {}
        self.slow: dict[str, asyncio.Event] = {}
        self.fetched: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    async def to_file(self, provider: Provider, output: Output, file: HashedFile) -> None:
        data = await self(provider, output)

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 1000):
                yield data[start : start + 1000]

        await file.take(chunks())

    async def __call__(self, provider: Provider, output: Output) -> bytes:
        assert output.path is not None
        self.fetched.append(output.path)
        if output.path in self.slow:
            await self.slow[output.path].wait()
        self.meanwhile()
        found = self.outputs[output.path]
        if isinstance(found, Exception):
            raise found
        return found


class DelayedOutbox(Outbox):
    """Starts to publish after a delay, as a busy process does."""

    delay_seconds = 0.0

    async def flush(self, ids: Iterable[str]) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        await super().flush(ids)


class ResultStoreHarness:
    """A result-store with fake ports."""

    def __init__(
        self,
        fetch_seconds: float = 5.0,
        max_pixels: int = 1_000_000,
        check: Callable[[bytes, Limits], Accepted] = accept,
        encode: Callable[[Image], Preview] = encode_preview,
        preview_seconds: float = 4.0,
    ) -> None:
        self.fetch = FakeFetch()
        self.bucket = FakeBucket()
        self.documents = FakeCollection()
        self.publisher = FakePublisher("result-store")
        self.assets = MongoAssets(self.documents.mongo)
        limits = Limits(max_bytes=100_000, max_pixels=max_pixels)
        storing = ImageStore(
            self.fetch, self.bucket, limits, check=check, encode=encode, preview_seconds=preview_seconds
        )
        self.previews = MissingPreviews(self.assets, self.bucket, limits)
        self.outbox = DelayedOutbox(MongoOutboxStore(self.documents.mongo), self.publisher)
        self.late = PendingOutputs(self.assets, storing, self.bucket, self.outbox, fetch_seconds=5.0)
        self.trainings = PendingOutputs(
            self.assets,
            LoraStore(self.fetch, self.bucket, max_bytes=100_000),
            self.bucket,
            self.outbox,
            fetch_seconds=5.0,
            kind="lora_training",
            at_once=1,
            renew_seconds=0.01,
        )
        self.results = Results(
            self.assets,
            storing,
            self.bucket,
            fetch_seconds=fetch_seconds,
            fetches_at_once=4,
        )

    def restarted(self) -> "ResultStoreHarness":
        """Return another process with the same database and bucket."""
        other = ResultStoreHarness()
        other.fetch.outputs = self.fetch.outputs
        other.bucket.objects, other.documents.kept = self.bucket.objects, self.documents.kept
        return other

    async def store(self, *results: RenderSucceeded) -> list[Message]:
        """Handle a batch; return the published messages."""
        batch = [received(result, offset) for offset, result in enumerate(results)]
        published = []
        for outgoing in await self.results.store(batch):
            assert isinstance(outgoing.message, Message)
            published.append(outgoing.message)
        return published

    async def asset(self, result: RenderSucceeded) -> Asset:
        id_ = self.id_of(result)
        return (await self.assets.load([id_]))[id_]

    def document(self, result: RenderSucceeded) -> dict[str, Any]:
        return self.documents.kept[self.id_of(result)]

    def wake(self, result: RenderSucceeded) -> None:
        """Make a pending asset due."""
        self.document(result)["wake_at"] = now()

    def wake_all(self) -> None:
        """Make every pending asset due."""
        for document in self.documents.kept.values():
            document["wake_at"] = now() if document["state"] == "pending" else None

    async def run_late(self, done: Callable[[], object]) -> None:
        """Run the background work until the condition holds."""
        async with background(self.late.run):
            await until(done)

    @staticmethod
    def id_of(result: RenderSucceeded) -> str:
        return f"{result.job_id}/{result.spec.index}"


def a_result(n: int = 1, path: str = PATH, **fields: Any) -> RenderSucceeded:
    job_id = fields.pop("job_id", uuid7())
    spec = fields.pop("spec", a_spec(width=48, height=32))
    known = {
        "attempt_id": f"{job_id}/{spec.index}/{n}",
        "job_id": job_id,
        "tenant": "acme",
        "provider": "modal",
        "at": now(),
        "spec": spec,
        "outputs": [Output(path=path)],
        "seed": 42,
        "provider_seconds": 1.5,
        "cost_usd": 0.02,
    }
    return RenderSucceeded.model_validate(known | fields)


def image_of(published: Message) -> StoredImage:
    """Return the image of a message."""
    assert isinstance(published, ResultStored)
    assert published.image is not None
    return published.image


def objects_of(published: Message) -> set[str]:
    """Return the keys of an image and of its preview."""
    key = image_of(published).key
    return {key, f"{key}.preview.webp"}

"""The `assets` collection: one stored result per render; the first one wins."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Literal, Protocol

from pymongo import InsertOne, UpdateOne

from contracts.base import Model, Moment
from contracts.ids import RenderKey
from contracts.renders import RenderSucceeded, ResultStored, StoredImage, StoredLora
from shared.clock import now
from shared.mongo import Collection, Document, due_by, due_index, find_by_id, write_guarded
from shared.outbox import OUTBOX_INDEX, OutboxEntry, stored_with
from shared.s3 import Bucket

INDEXES = (
    due_index("wake_at"),
    due_index("preview_due_at"),
    OUTBOX_INDEX,
)

CLAIM = timedelta(seconds=180)
"""So long a dead process keeps its assets from others; a living one claims them again in time."""

Kind = Literal["image", "lora_training"]


class StoredPreview(Model):
    """A small WebP in the bucket. Pixels."""

    key: str
    width: int
    height: int


class Stored(Model):
    """What of an attempt is in the bucket: an image with its preview, or a LoRA."""

    image: StoredImage | None = None
    preview: StoredPreview | None = None
    placeholder: str | None = None
    """A ThumbHash, base64."""
    preview_error: str | None = None
    """Reason why there is no preview."""
    preview_due_at: Moment | None = None
    """Time of the next try to make a missing preview."""
    preview_tries: int = 0
    lora: StoredLora | None = None


class Asset(Stored):
    """A render's result. `pending`: still to be fetched, at `wake_at`; `failed`: given up.

    An attempt that waits while its render's asset is another attempt's has one apart, under its own id;
    `done`: what became of it is said.
    """

    id: str
    state: Literal["pending", "stored", "failed", "done"]
    result: RenderSucceeded
    """The attempt that this asset comes from."""
    trace: str | None = None
    tries: int = 0
    wake_at: Moment | None = None
    outbox: OutboxEntry | None = None
    """Messages that this write adds to the document's outbox. It is not read back."""

    @property
    def keys(self) -> frozenset[str]:
        """Its objects in the bucket, as far as they differ from another attempt's."""
        pictures = {each.key for each in (self.image, self.preview) if each}
        return frozenset(pictures | ({self.lora.key, self.lora.manifest_key} if self.lora else set()))

    @property
    def is_apart(self) -> bool:
        """Whether its render's asset is another document."""
        return self.id != asset_id(self.result)

    def waits_for_another(self, attempt: RenderSucceeded) -> bool:
        """Whether it must not be overwritten by this attempt's before it is set apart."""
        return self.state == "pending" and self.result.attempt_id != attempt.attempt_id

    def announcement(self, attempt: RenderSucceeded) -> ResultStored:
        """What is said of an attempt's output, now that this asset is stored."""
        return ResultStored(
            attempt_id=attempt.attempt_id,
            job_id=attempt.job_id,
            tenant=attempt.tenant,
            provider=attempt.provider,
            at=attempt.at,
            image=self.image,
            lora=self.lora,
            duplicate=self.result.attempt_id != attempt.attempt_id,
            notices=attempt.notices,
            provider_seconds=attempt.provider_seconds,
            cost_usd=attempt.cost_usd,
        )


def asset_id(result: RenderSucceeded) -> str:
    """`{job_id}/{index}`: the same for all attempts of a render."""
    return str(RenderKey(result.job_id, result.spec.index))


def apart(asset: Asset) -> Asset:
    """The same, in a document of its attempt's own."""
    return asset.model_copy(update={"id": asset.result.attempt_id})


async def sweep(bucket: Bucket, loser: Asset, winner: Asset) -> None:
    """Another attempt's result was first: remove what only this one has."""
    for key in loser.keys - winner.keys:
        await bucket.delete(key)


async def sweep_place(bucket: Bucket, winner: Asset) -> None:
    """Another attempt may have been put by a process that died since: leave only what is the winner's."""
    for key in await bucket.keys(f"{winner.result.tenant}/{winner.id}/"):
        if not key.startswith(tuple(winner.keys)):  # a preview's key begins with its image's
            await bucket.delete(key)


class Assets(Protocol):
    """Where assets are kept."""

    async def load(self, ids: Iterable[str]) -> dict[str, Asset]:
        """Those that exist, by id; one round trip."""

    async def keep(self, assets: Sequence[Asset]) -> set[str]:
        """Write each unless its render has a stored one; returns the ids of those that came too late."""


class MongoAssets(Assets):
    """See `Assets`; and what the background work needs."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def load(self, ids: Iterable[str]) -> dict[str, Asset]:
        """See `Assets`."""
        found = await find_by_id(self._collection, ids)
        return {document["_id"]: _asset(document) for document in found}

    async def keep(self, assets: Sequence[Asset]) -> set[str]:
        """See `Assets`. Most are new, and an insert costs the database less than a guarded update."""
        each = list({asset.id: asset for asset in assets}.values())
        inserts = [InsertOne(_inserted(asset)) for asset in each]
        known = [each[position] for position in sorted(await write_guarded(self._collection, inserts))]
        updates = [
            UpdateOne({"_id": asset.id, "state": {"$ne": "stored"}}, _change(asset), upsert=True)
            for asset in known
        ]
        return {known[position].id for position in await write_guarded(self._collection, updates)}

    async def set_apart(self, id_: str, attempt: RenderSucceeded) -> None:
        """This attempt's result is about to be written: another's that is waited for is not forgotten."""
        held = (await self.load([id_])).get(id_)
        if held is not None and held.waits_for_another(attempt):
            await self.keep([apart(held)])

    async def put_off(self, asset: Asset) -> bool:
        """Write an asset that has no image, unless its render has one, or waits for another attempt's."""
        guard = {
            "_id": asset.id,
            "state": {"$ne": "stored"},
            "attempt_id": asset.result.attempt_id,
        }
        write = UpdateOne(guard, _change(asset), upsert=True)
        return not await write_guarded(self._collection, [write])

    async def claim_due(self, kind: Kind, most: int) -> list[Asset]:
        """Pending assets of a kind whose time has come, now ours for a while.

        No more than are fetched at once: others may have the rest.
        """
        due = self._collection.find({"wake_at": due_by(now()), "result.spec.kind": kind}).limit(most)
        claimed = [await self.claim(_asset(document)) async for document in due]
        return [asset for asset in claimed if asset is not None]

    async def claim(self, asset: Asset) -> Asset | None:
        """Ours for a while, or for a while longer; None when it has moved since it was read."""
        until = now() + CLAIM
        taken = await self._collection.update_one(
            {"_id": asset.id, "wake_at": asset.wake_at}, {"$set": {"wake_at": until}}
        )
        return asset.model_copy(update={"wake_at": until}) if taken.matched_count else None

    async def claim_preview(self) -> Asset | None:
        """Claim a stored image whose missing preview is due, for a while; None if there is none."""
        due = {"preview_due_at": due_by(now())}
        async for document in self._collection.find(due).limit(1):
            asset = _asset(document)
            until = now() + CLAIM
            held = {"_id": asset.id, "preview_due_at": asset.preview_due_at}
            taken = await self._collection.update_one(held, {"$set": {"preview_due_at": until}})
            if taken.matched_count:
                return asset.model_copy(update={"preview_due_at": until})
        return None

    async def set_preview(self, asset: Asset, changes: dict[str, Any]) -> None:
        """Write the fields of a claimed image's preview; None removes a field."""
        held = {"_id": asset.id, "preview_due_at": asset.preview_due_at}
        change = {
            "$set": {name: value for name, value in changes.items() if value is not None},
            "$unset": {name: "" for name, value in changes.items() if value is None},
        }
        await self._collection.update_one(held, {name: each for name, each in change.items() if each})


def _asset(document: dict[str, Any]) -> Asset:
    return Asset.model_validate(document | {"id": document["_id"], "outbox": None})


def _inserted(asset: Asset) -> Document:
    """Return a new document. A sparse index has an entry for a null, and none for a missing field."""
    fields = {name: value for name, value in _document(asset).items() if value is not None}
    outbox = {"outbox": asset.outbox.model_dump()} if asset.outbox else {}
    return {"_id": asset.id, **fields, **outbox}


def _change(asset: Asset) -> Document:
    """Return the update of a document; messages that it has not published yet stay in its outbox."""
    added = stored_with(asset.outbox) if asset.outbox else {}
    return added | {"$set": _document(asset) | added.get("$set", {})}


def _document(asset: Asset) -> dict[str, Any]:
    """As stored: the asset's fields, and on top those that other services read.

    `key` is an image's only: requests refer to images by asset, and a LoRA is none.
    """
    result, image = asset.result, asset.image
    reading = {"tenant": result.tenant, "job_id": result.job_id, "attempt_id": result.attempt_id}
    stored = ({"key": image.key} if image else {}) | ({"stored_at": now()} if asset.keys else {})
    fields = asset.model_dump(exclude={"id", "outbox"})
    return fields | reading | stored

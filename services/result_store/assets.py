"""The `assets` collection: one stored result per render. The first attempt that is stored wins."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypedDict

from pymongo import InsertOne, UpdateOne

from contracts.base import Message, Model, Moment
from contracts.ids import RenderKey
from contracts.renders import RenderSucceeded, ResultStored, StoredImage, StoredLora
from shared.clock import now
from shared.mongo import Collection, Document, due_by, due_index, find_by_id, write_guarded
from shared.outbox import OUTBOX_INDEX, OutboxEntry, outbox_entry, stored_with
from shared.s3 import Bucket

INDEXES = (
    due_index("wake_at"),
    due_index("preview_due_at"),
    OUTBOX_INDEX,
)

CLAIM = timedelta(seconds=180)
"""Duration of a claim. A living process renews it; after a crash others wait for its end."""

Kind = Literal["image", "lora_training"]


class StoredPreview(Model):
    """A small WebP in the bucket; width and height in pixels."""

    key: str
    width: int
    height: int


class PreviewChanges(TypedDict, total=False):
    """Fields of an asset's preview to write; None removes one."""

    preview: dict[str, Any] | None
    placeholder: str | None
    preview_error: str | None
    preview_tries: int
    preview_due_at: datetime | None


class Stored(Model):
    """An attempt's objects in the bucket: an image with its preview, or a LoRA."""

    image: StoredImage | None = None
    preview: StoredPreview | None = None
    placeholder: str | None = None
    """A ThumbHash, base64."""
    preview_error: str | None = None
    """Reason why there is no preview."""
    preview_due_at: Moment | None = None
    """Time of the next attempt to make a missing preview."""
    preview_tries: int = 0
    lora: StoredLora | None = None


class Asset(Stored):
    """A render's result. `pending`: to be fetched at `wake_at`; `failed`: given up.

    A pending attempt whose render's asset is another attempt's is superseded: it has a document under its
    own id. `done`: its outcome is published.
    """

    id: str
    state: Literal["pending", "stored", "failed", "done"]
    result: RenderSucceeded
    """Result of the attempt that this asset comes from."""
    trace: str | None = None
    tries: int = 0
    wake_at: Moment | None = None
    outbox: OutboxEntry | None = None
    """Messages that a write adds to the document's outbox. Loaded assets have none."""

    @property
    def keys(self) -> frozenset[str]:
        """Keys of its objects in the bucket."""
        pictures = {each.key for each in (self.image, self.preview) if each}
        return frozenset(pictures | ({self.lora.key, self.lora.manifest_key} if self.lora else set()))

    @property
    def is_superseded(self) -> bool:
        """True when the render's asset is another document."""
        return self.id != asset_id(self.result)

    def is_pending_for_another(self, attempt: RenderSucceeded) -> bool:
        """Return whether another attempt than this one is pending here; its asset must be kept."""
        return self.state == "pending" and self.result.attempt_id != attempt.attempt_id

    def rescheduled(self, wake_at: datetime) -> "Asset":
        """Return the asset after a failed try, with the time of the next one."""
        return self.model_copy(update={"tries": self.tries + 1, "wake_at": wake_at})

    def ended(self, state: Literal["failed", "done"]) -> "Asset":
        """Return the asset with no further try."""
        return self.model_copy(update={"state": state, "wake_at": None})

    def stored_as(self, stored: Stored) -> "Asset":
        """Return the stored asset of the render."""
        stored_fields = {name: getattr(stored, name) for name in Stored.model_fields}
        own = {"id": asset_id(self.result), "state": "stored", "wake_at": None}
        return self.model_copy(update=stored_fields | own)

    def publishing(self, message: Message, at: datetime) -> "Asset":
        """Return the asset with a message for its document's outbox."""
        entry = outbox_entry(message, source="result-store", trace=self.trace, at=at)
        return self.model_copy(update={"outbox": OutboxEntry.model_validate(entry)})

    def announcement(self, attempt: RenderSucceeded) -> ResultStored:
        """Return the message about an attempt's output, now that this asset is stored."""
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
    """Return `{job_id}/{index}`, the same for all attempts of a render."""
    return str(RenderKey(result.job_id, result.spec.index))


def superseded(asset: Asset) -> Asset:
    """Return the asset in a document under its attempt's own id."""
    return asset.model_copy(update={"id": asset.result.attempt_id})


async def delete_superseded(bucket: Bucket, loser: Asset, winner: Asset) -> None:
    """Delete the objects that only the losing attempt has."""
    for key in loser.keys - winner.keys:
        await bucket.delete(key)


async def delete_orphans(bucket: Bucket, winner: Asset) -> None:
    """Delete all objects of a render that are not the winner's, also those left by a crash."""
    for key in await bucket.keys(f"{winner.result.tenant}/{winner.id}/"):
        if not key.startswith(tuple(winner.keys)):  # a preview's key begins with its image's
            await bucket.delete(key)


class Assets(Protocol):
    """Storage of assets."""

    async def load(self, ids: Iterable[str]) -> dict[str, Asset]:
        """Return the assets that exist, by id; one round trip."""

    async def save(self, assets: Sequence[Asset]) -> set[str]:
        """Write each asset unless its render has a stored one; return the ids that were not written."""


class MongoAssets(Assets):
    """See `Assets`. The other methods are for the background work."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def load(self, ids: Iterable[str]) -> dict[str, Asset]:
        """See `Assets`."""
        found = await find_by_id(self._collection, ids)
        return {document["_id"]: _asset(document) for document in found}

    async def save(self, assets: Sequence[Asset]) -> set[str]:
        """See `Assets`. Most are new, and an insert costs the database less than a guarded update."""
        each = list({asset.id: asset for asset in assets}.values())
        inserts = [InsertOne(_inserted(asset)) for asset in each]
        known = [each[position] for position in sorted(await write_guarded(self._collection, inserts))]
        updates = [
            UpdateOne({"_id": asset.id, "state": {"$ne": "stored"}}, _change(asset), upsert=True)
            for asset in known
        ]
        return {known[position].id for position in await write_guarded(self._collection, updates)}

    async def save_superseded(self, id_: str, attempt: RenderSucceeded) -> None:
        """Move a pending asset of another attempt to its own document, before this attempt's is written."""
        held = (await self.load([id_])).get(id_)
        if held is not None and held.is_pending_for_another(attempt):
            await self.save([superseded(held)])

    async def reschedule(self, asset: Asset) -> bool:
        """Write a pending or failed asset; False when its render has a stored asset or another attempt's."""
        guard = {
            "_id": asset.id,
            "state": {"$ne": "stored"},
            "attempt_id": asset.result.attempt_id,
        }
        write = UpdateOne(guard, _change(asset), upsert=True)
        return not await write_guarded(self._collection, [write])

    async def claim_due(self, kind: Kind, most: int) -> list[Asset]:
        """Claim pending assets of a kind that are due, at most `most`; other processes claim the rest."""
        due = self._collection.find({"wake_at": due_by(now()), "result.spec.kind": kind}).limit(most)
        claimed = [await self.claim(_asset(document)) async for document in due]
        return [asset for asset in claimed if asset is not None]

    async def claim(self, asset: Asset) -> Asset | None:
        """Claim an asset or renew its claim; None when it has changed since it was read."""
        until = now() + CLAIM
        taken = await self._collection.update_one(
            {"_id": asset.id, "wake_at": asset.wake_at}, {"$set": {"wake_at": until}}
        )
        return asset.model_copy(update={"wake_at": until}) if taken.matched_count else None

    async def claim_preview(self) -> Asset | None:
        """Claim a stored image whose missing preview is due; None if there is none."""
        due = {"preview_due_at": due_by(now())}
        async for document in self._collection.find(due).limit(1):
            asset = _asset(document)
            until = now() + CLAIM
            held = {"_id": asset.id, "preview_due_at": asset.preview_due_at}
            taken = await self._collection.update_one(held, {"$set": {"preview_due_at": until}})
            if taken.matched_count:
                return asset.model_copy(update={"preview_due_at": until})
        return None

    async def set_preview(self, asset: Asset, changes: PreviewChanges) -> None:
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
    """Return the stored fields of an asset, and those that other services read.

    Only images have a `key`: requests refer to images by asset, and a LoRA is not an image.
    """
    result, image = asset.result, asset.image
    reading = {"tenant": result.tenant, "job_id": result.job_id, "attempt_id": result.attempt_id}
    stored = ({"key": image.key} if image else {}) | ({"stored_at": now()} if asset.keys else {})
    fields = asset.model_dump(exclude={"id", "outbox"})
    return fields | reading | stored

"""`python -m tests.chaos.broken FAULT MODULE`: run a service with an injected fault, for the checker to find.

The services themselves have no switch for this: each fault replaces one function from outside, and
waits a moment where a process must die to show it.
"""

import asyncio
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from typing import Any

from pymongo import ReplaceOne

import services.notifier.job_sender
from services.gateways.runtime.executor import Executor
from services.notifier.deliveries import Delivery, Outcome, after_attempt
from shared.kafka.consumers import Consumers
from shared.kafka.pipeline.publish import PublishThenCommit
from shared.mongo.documents import MongoDocuments

A_MOMENT = 0.3


def commit_before_publish() -> None:
    """Commit a batch before it is handled: records of an interrupted batch are lost."""

    async def handle(self: Any, proceed: Any, batch: Any) -> None:
        await batch.consumer.commit(batch.ends())
        await asyncio.sleep(A_MOMENT)
        await published(self, proceed, batch)

    published = PublishThenCommit.handle
    PublishThenCommit.handle = handle  # type: ignore[method-assign]


def two_at_once() -> None:
    """No fault: each dispatcher reads all records, so that writes conflict. The guards must hold."""
    subscribe = Consumers.subscribe

    def alone(self: Any, kinds: Any, /, *, group: str, **more: Any) -> Any:
        own = f"{group}-{os.environ['HTTP_PORT']}" if group == "dispatcher" else group
        return subscribe(self, kinds, group=own, **more)

    Consumers.subscribe = alone  # type: ignore[method-assign]


def unguarded_write() -> None:
    """Write a document even if it has changed since it was read."""
    two_at_once()

    async def save(self: Any, documents: Any) -> set[str]:
        writes = [ReplaceOne({"_id": key}, each.model_dump(), upsert=True) for key, each in documents.items()]
        await asyncio.sleep(A_MOMENT / 10)
        if writes:
            await self._collection.bulk_write(writes, ordered=False)
        return set()

    MongoDocuments.save = save  # type: ignore[method-assign]


def submit_before_intent() -> None:
    """Call the provider before the intent is in the ledger."""
    begin = Executor.__init__

    def hasty(self: Any, provider: Any, *rest: Any, **more: Any) -> None:
        begin(self, provider, *rest, **more)
        prepare, submit = provider.prepare, provider.submit

        async def prepare_and_submit(request: Any) -> Any:
            ref = await submit(request, await prepare(request))
            await asyncio.sleep(A_MOMENT)
            return {"submission_ref": ref}

        async def hand_over(request: Any, payload: Any) -> Any:
            return payload["submission_ref"]

        provider.prepare, provider.submit = prepare_and_submit, hand_over

    Executor.__init__ = hasty  # type: ignore[method-assign]


def forgetful_webhooks() -> None:
    """Try a webhook only once."""

    def tried(delivery: Delivery, outcome: Outcome, now: Any) -> Delivery:
        return after_attempt(delivery, replace_outcome(outcome), now)

    def replace_outcome(outcome: Outcome) -> Outcome:
        return outcome.model_copy(update={"status": 200})

    vars(services.notifier.job_sender)["after_attempt"] = tried


FAULTS: dict[str, Callable[[], None]] = {
    build.__name__: build
    for build in (
        commit_before_publish,
        two_at_once,
        unguarded_write,
        submit_before_intent,
        forgetful_webhooks,
    )
}


def main(arguments: Sequence[str]) -> None:
    """Inject the fault and run the module."""
    fault, module = arguments
    FAULTS[fault]()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])

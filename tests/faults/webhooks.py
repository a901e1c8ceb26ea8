"""Faults of Fal's webhooks. Polls are rare here where a webhook must do; a webhook is only a hint."""

from contracts.renders import RenderRequested
from tests.faults.between import Spoil
from tests.faults.harness import ProcessHarness
from tests.faults.rows import DONE, FAL, NEVER, SELDOM, UNKNOWN, End, Fault, at, submit
from tests.faults.spoiling import late


async def wait_for_the_webhook(harness: ProcessHarness, command: RenderRequested) -> None:
    await harness.deliver(command)
    await harness.end(command)
    await harness.heard(1)


TWICE = Fault("webhook twice", {"webhook_duplicates": 1}, limits=SELDOM, webhooks=(204, 204))
EARLY = Fault(
    "webhook before the submit answer",
    spoils=(Spoil(("submit",), late(0.5), taken=True),),
    limits=SELDOM,
    webhooks=(204,),
)
WITHOUT_PAYLOAD = Fault(
    "webhook with a null payload", {"webhook_without_payload": True}, limits=SELDOM, webhooks=(204,)
)
ADOPTED = submit(
    "answer lost, webhook",
    "lose_answer",
    behaviour={"webhook_delay_seconds": 0.1},
    limits={"grace_period": NEVER},
    webhooks=(204,),
)
FORGED = Fault(
    "webhook with a bad signature",
    {"webhook_bad_signature": True},
    wait_for_the_webhook,
    limits={"first_poll_interval": 0.3, "max_poll_interval": 0.3},
    webhooks=(401,),
)
TOO_LATE = submit(
    "webhook after it was given up",
    "lose_answer",
    behaviour={"webhook_delay_seconds": 2.0},
    story=wait_for_the_webhook,
    webhooks=(204,),
    told="unknown",
)

ROWS = (
    # where, what happens, how it ends, sent, taken
    *at(FAL, TWICE, DONE, 1, 1),
    *at(FAL, EARLY, DONE, 1, 1),
    *at(FAL, WITHOUT_PAYLOAD, DONE, 1, 1),
    *at(FAL, ADOPTED, DONE, 1, 1),
    *at(FAL, FORGED, DONE, 1, 1),
    *at(FAL, TOO_LATE, End("failed", "yes", UNKNOWN.said), 1, 1),
)

"""Faults of Fal's webhooks. Polls are rare here where a webhook must do; a webhook is only a hint."""

from contracts.renders import RenderRequested
from tests.faults.between import Spoil, late
from tests.faults.house import House
from tests.faults.rows import DONE, NEVER, SELDOM, UNKNOWN, End, Fault, Row, submit


async def wait_for_the_webhook(house: House, command: RenderRequested) -> None:
    await house.deliver(command)
    await house.end(command)
    await house.heard(1)


TWICE = Fault("webhook twice", {"webhook_duplicates": 1}, pace=SELDOM, webhooks=(204, 204))
EARLY = Fault(
    "webhook before the submit answer",
    spoils=(Spoil(("submit",), late(0.5), taken=True),),
    pace=SELDOM,
    webhooks=(204,),
)
WITHOUT_PAYLOAD = Fault(
    "webhook with a null payload", {"webhook_without_payload": True}, pace=SELDOM, webhooks=(204,)
)
ADOPTED = submit(
    "answer lost, webhook",
    "lose_answer",
    behaviour={"webhook_delay_seconds": 0.1},
    pace={"grace": NEVER},
    webhooks=(204,),
)
FORGED = Fault(
    "webhook with a bad signature",
    {"webhook_bad_signature": True},
    wait_for_the_webhook,
    pace={"first_poll": 0.3, "slowest_poll": 0.3},
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
    #   provider  what happens     how it ends                             sent, taken
    Row("fal", TWICE, DONE, 1, 1),
    Row("fal", EARLY, DONE, 1, 1),
    Row("fal", WITHOUT_PAYLOAD, DONE, 1, 1),
    Row("fal", ADOPTED, DONE, 1, 1),
    Row("fal", FORGED, DONE, 1, 1),
    Row("fal", TOO_LATE, End("failed", "yes", UNKNOWN.said), 1, 1),
)

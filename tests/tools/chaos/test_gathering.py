"""Records of receivers and submission logs reach the checker completely."""

from random import Random

import httpx

from deploy.simulators.submission_log import SubmissionLog
from tests.chaos.evidence import ReceivedWebhook
from tests.chaos.gather import submission_of
from tests.chaos.receiver import Receiver, ReceiverBehaviour


def test_a_repeated_request_is_read_from_the_submission_log() -> None:
    submission_log = SubmissionLog()
    submission_log.enter("fc-1", "our", "a prompt", {}).asked += 1
    (entry,) = submission_log.listing()
    taken = submission_of("modal", entry)
    assert (taken.idempotency_key, taken.requests, taken.at.isoformat()) == ("our", 2, entry["at"])


async def test_a_receiver_records_the_signature_of_a_webhook() -> None:
    webhook: list[ReceivedWebhook] = []
    headers = {"webhook-id": "job/1", "webhook-timestamp": "17", "webhook-signature": "v1,x"}
    async with (
        Receiver(ReceiverBehaviour(), webhook, Random(1)) as receiver,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        await http.post(receiver.url, content=b"{}", headers=headers)
    assert webhook == [ReceivedWebhook("job/1", receiver.url, b"{}", "17", "v1,x")]

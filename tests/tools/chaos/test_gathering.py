"""What receivers and books tell reaches the checker whole."""

from random import Random

import httpx

from deploy.simulators.submission_log import SubmissionLog
from tests.chaos.evidence import Got
from tests.chaos.gather import submission_of
from tests.chaos.receiver import Manners, Receiver


def test_a_second_request_under_the_same_id_is_read_from_the_books() -> None:
    submission_log = SubmissionLog()
    submission_log.enter("fc-1", "our", "a prompt", {}).asked += 1
    (entry,) = submission_log.listing()
    taken = submission_of("modal", entry)
    assert (taken.our_id, taken.asked, taken.at.isoformat()) == ("our", 2, entry["at"])


async def test_a_receiver_remembers_how_a_webhook_was_signed() -> None:
    got: list[Got] = []
    headers = {"webhook-id": "job/1", "webhook-timestamp": "17", "webhook-signature": "v1,x"}
    async with Receiver(Manners(), got, Random(1)) as receiver, httpx.AsyncClient(trust_env=False) as http:
        await http.post(receiver.url, content=b"{}", headers=headers)
    assert got == [Got("job/1", receiver.url, b"{}", "17", "v1,x")]

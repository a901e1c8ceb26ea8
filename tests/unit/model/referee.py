"""Compares what the services do and say with the reference; each assertion is a promise."""

from collections import defaultdict

from contracts.base import Message
from contracts.jobs import JobEvent
from contracts.renders import RenderFailed, RenderProgressed, RenderRequested, RenderSucceeded
from services.dispatcher.job_record import JobRecord
from services.gateways.runtime.lifecycle.attempt import ENDED
from tests.unit.model.gateways import ModelGateway
from tests.unit.model.reference import ReferenceJob, ReferenceSubmissions

ENDS = ("completed", "failed")


class Referee:
    """Observes everything and fails on a violation."""

    def __init__(self) -> None:
        self.jobs: dict[str, ReferenceJob] = defaultdict(ReferenceJob)
        self.sent = ReferenceSubmissions()
        self._said: dict[str, bytes] = {}
        self._events: dict[str, dict[int, JobEvent]] = defaultdict(dict)
        self._commanded: set[str] = set()
        self._ended: dict[str, str] = {}
        self._news: dict[str, set[str]] = {"succeeded": set(), "failed": set()}

    def sees_job(self, job_id: str, before: JobRecord | None, after: JobRecord | None) -> None:
        """Check a job document before and after a message that the reference has observed."""
        reference = self.jobs[job_id]
        if after is None or not after.seq:
            assert not reference.ends(perhaps=True), "what was planned has events"
            return
        assert [event.seq for event in after.events] == list(range(1, after.seq + 1)), "no gaps"
        done = {render.spec.index for render in after.renders if render.state == "done"}
        assert done == reference.stored, "what was stored is delivered, until the end"
        if reference.end:
            assert after == before, "terminal is terminal"
        elif after.terminal:
            end = after.error.code if after.error else "completed"
            assert end in reference.ends(perhaps=True), f"it may not end as {end}"
            reference.end = end
        else:
            assert not reference.ends(perhaps=False), "it has to end"

    def sees_command(self, command: RenderRequested) -> None:
        """A dispatcher wants this to be rendered; or says again that it wanted it."""
        if command.attempt_id not in self._commanded:
            self._commanded.add(command.attempt_id)
            _, _, n = command.attempt_id.split("/")
            reference = self.jobs[command.job_id]
            assert reference.may_be_tried(command.spec.index, int(n)), f"no need for {command.attempt_id}"

    def hears(self, id_: str, body: bytes, message: Message) -> None:
        """Check a published message: the same id is always the same message.

        A success may be polled again, and is then published with the time of that poll.
        """
        if isinstance(message, RenderProgressed):
            return
        if isinstance(message, RenderSucceeded):
            body = message.model_dump_json(exclude={"at"}).encode()
        assert self._said.setdefault(id_, body) == body, f"{id_} was said with another body"
        if isinstance(message, JobEvent):
            first = self._events[message.job_id].setdefault(message.seq, message)
            assert message == first, "no two events have one number"
        if isinstance(message, RenderFailed):
            self.sent.failed.add(message.attempt_id)
            self._news["failed"].add(message.attempt_id)
        if isinstance(message, RenderSucceeded):
            self._news["succeeded"].add(message.attempt_id)

    def sees_ledger(self, gateway: ModelGateway) -> None:
        """At any time."""
        for attempt_id, entry in gateway.entries.items():
            if entry["state"] in ENDED:
                ended = self._ended.setdefault(attempt_id, entry["state"])
                assert entry["state"] == ended, "an end is final"
            else:
                assert attempt_id not in self._ended, "what has ended does not begin again"

    def sees_accounts(self, gateway: ModelGateway) -> None:
        """Check at the end that the ledger bills exactly what the provider accepted."""
        for attempt_id, entry in gateway.entries.items():
            wanted = ("yes", "unknown") if gateway.provider.has(attempt_id) else ("no", "unknown")
            assert entry["billed"] in wanted, f"{attempt_id}: {entry['billed']}"
            if entry["state"] in self._news:
                assert attempt_id in self._news[entry["state"]], f"the end of {attempt_id} was not said"
        assert set(gateway.provider.taken) <= gateway.entries.keys()

    def sees_the_end(self, job: JobRecord) -> None:
        """Check at the end that all observers agree about a job."""
        heard = self._events[job.job_id]
        assert [heard[seq] for seq in sorted(heard)] == list(job.events), "all of it was said"
        kinds = [event.event for event in job.events]
        assert [kind for kind in kinds if kind in ENDS] == kinds[-1:], "it ends once, and last"
        words: dict[int, list[str]] = defaultdict(list)
        for event in job.events:
            if event.image:
                words[event.image.index].append(event.event)
        for render in job.renders:
            delivered = render.spec.index in self.jobs[job.job_id].stored
            last_word = "image_ready" if delivered else "image_failed"
            said = words[render.spec.index]
            assert said[-1] == last_word, "each image is accounted for"
            assert said.count("image_ready") == delivered, "and delivered once"

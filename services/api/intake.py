"""A submission or a cancel → a document that owes its message → generation.requested, .cancel"""

from contracts.base import Message
from contracts.generation import GenerationCancel
from contracts.http import AnySubmission
from services.api.domain import Accepted, Caller, Conflict, accept, repeated, unstorable
from services.api.ports import Cancellations, Jobs, Submissions
from shared.clock import Clock
from shared.ids import uuid7
from shared.outbox import Debt, Outbox, Owed, owe
from shared.problems import Refusal

SOURCE = "api"


class Intake:
    """Takes requests durably, whether or not Kafka is there."""

    def __init__(
        self,
        jobs: Jobs,
        submissions: Submissions,
        cancellations: Cancellations,
        outboxes: tuple[Outbox, Outbox],
        now: Clock,
    ) -> None:
        self._jobs = jobs
        self._submissions = submissions
        self._cancellations = cancellations
        self._submitted, self._cancelled = outboxes
        self._now = now

    async def submit(
        self, submission: AnySubmission, caller: Caller, key: str | None, trace: str | None
    ) -> tuple[Accepted, bool]:
        """Accept a request, or find the one that it repeats; says whether it is new.

        Raises:
            Refusal: 409 when the key or the job id stands for another request; 422.
        """
        if errors := unstorable(submission):
            raise Refusal(422, "; ".join(f"{error.field}: {error.message}" for error in errors), errors)
        new, message = accept(
            submission, caller, key=key, job_id=submission.job_id or uuid7(), now=self._now()
        )
        try:
            if submission.job_id is not None:
                await self._refuse_jobs_that_came_another_way(submission.job_id)
            owed = self._owed(message, trace)
            if not await self._submissions.add(new, owed):
                return repeated(new, submission.job_id, await self._submissions.known(new)), False
        except Conflict as conflict:
            raise Refusal(409, str(conflict)) from None
        await self._submitted.offer(Debt(id=new.job_id, owed=Owed.model_validate(owed)))
        return new, True

    async def cancel(self, job_id: str, caller: Caller, trace: str | None) -> None:
        """Ask for the end of a job."""
        owed = self._owed(GenerationCancel(job_id=job_id, tenant=caller.tenant), trace)
        await self._cancellations.add(job_id, caller.tenant, owed)
        await self._cancelled.offer(Debt(id=job_id, owed=Owed.model_validate(owed)))

    async def _refuse_jobs_that_came_another_way(self, job_id: str) -> None:
        if await self._jobs.existing([job_id]) and await self._submissions.get(job_id) is None:
            raise Conflict("this job_id already stands for another request; use a new one")

    def _owed(self, message: Message, trace: str | None) -> dict[str, object]:
        return owe(message, source=SOURCE, trace=trace, at=self._now())

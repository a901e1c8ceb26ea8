"""The progress of a chain: the steps that start, are tried again or are cancelled. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Unpack

from contracts.base import Message
from contracts.chains import Chain, ChainState, ChainTry
from contracts.generation import GenerationCancel, GenerationRequested
from contracts.jobs import JobError
from services.characters.changes import (
    ChainChanges,
    StepChanges,
    TryChanges,
    with_chain,
    with_step,
    with_try,
)
from services.characters.job_requests import job_id_of
from services.characters.policies import Policies
from services.characters.steps import depends_on, images_of, request_of, state_of
from shared.fold import Folded


class ChainRecord(Chain, Folded):
    """The `chains` document with the fields that only this service reads."""


class ChainTransition:
    """Collects the changes and outputs of one message."""

    def __init__(self, chain: ChainRecord, at: datetime, policies: Policies) -> None:
        self.chain = chain
        self.at = at
        self.policies = policies
        self.outputs: list[Message] = []
        self._first = chain

    @property
    def changed(self) -> bool:
        """True if the chain differs from the stored one."""
        return self.chain is not self._first

    def set(self, **changes: Unpack[ChainChanges]) -> None:
        """Change fields of the chain. Equal values leave it the same object."""
        if any(getattr(self.chain, name) != value for name, value in changes.items()):
            updated_at = max(self.chain.updated_at, self.at)
            self.chain = with_chain(with_chain(self.chain, **changes), updated_at=updated_at)

    def set_step(self, place: int, **changes: Unpack[StepChanges]) -> None:
        """Change fields of one step."""
        steps = list(self.chain.steps)
        steps[place] = with_step(steps[place], **changes)
        self.set(steps=tuple(steps))

    def set_try(self, place: int, n: int, **changes: Unpack[TryChanges]) -> None:
        """Change fields of one try of a step."""
        tries = list(self.chain.steps[place].tries)
        tries[n] = with_try(tries[n], **changes)
        self.set_step(place, tries=tuple(tries))

    def start_try(self, place: int) -> None:
        """Request the next try of a step, under a job id of its own."""
        chain, step = self.chain, self.chain.steps[place]
        request, poses = request_of(chain, place, self.policies)
        job_id = job_id_of(chain.chain_id, place, len(step.tries) + 1)
        attempt = ChainTry(job_id=job_id, poses=poses, resumed_at=chain.resumed_at)
        self.set_step(place, tries=(*step.tries, attempt))
        assert chain.user_id is not None, "a chain with a request has a user"
        self.outputs.append(
            GenerationRequested(
                job_id=job_id,
                tenant=chain.tenant,
                user_id=chain.user_id,
                request=request,
                notify=chain.notify,
                chain_id=chain.chain_id,
            )
        )

    def cancel_tries(self, place: int, reason: str) -> None:
        """Cancel the running tries of a step."""
        for n, attempt in enumerate(self.chain.steps[place].tries):
            if attempt.state == "running":
                error = JobError(code="cancelled", message=reason)
                ended_at = self.chain.cancelled_at or self.at
                self.set_try(place, n, state="cancelled", error=error, ended_at=ended_at)
                cancel = GenerationCancel(job_id=attempt.job_id, tenant=self.chain.tenant, reason=reason)
                self.outputs.append(cancel)


def progress(step: ChainTransition, *, resumed: bool = False) -> None:
    """Start, retry or cancel steps by the present state. `resumed`: retry all that has failed so far."""
    _update_states(step)
    for place, each in enumerate(step.chain.steps):
        if each.state == "completed":
            step.cancel_tries(place, "another try has done it")
        elif step.chain.is_cancelled:
            step.cancel_tries(place, step.chain.cancel_reason)
        elif _is_due(step.chain, place, resumed):
            step.start_try(place)
    _update_states(step)
    state = _state(step.chain)
    finished_at = None if state == "running" else step.chain.finished_at or step.at
    step.set(state=state, finished_at=finished_at)


def _is_due(chain: Chain, place: int, resumed: bool) -> bool:
    """Return whether a step starts or is retried: once for each resume that was requested after its end,
    in whichever order the two are read.
    """
    step, before = chain.steps[place], depends_on(chain.steps, place)
    if step.state == "waiting":
        return before is not None and chain.steps[before].state == "completed"
    if step.state == "running" or not step.tries or chain.resumed_at is None:
        return False
    last = step.tries[-1]
    if last.resumed_at == chain.resumed_at:
        return False
    return resumed or (last.ended_at is not None and last.ended_at <= chain.resumed_at)


def _update_states(step: ChainTransition) -> None:
    for place in range(len(step.chain.steps)):
        state, error = state_of(step.chain, place, step.policies)
        step.set_step(place, state=state, error=error, images=images_of(step.chain.steps[place]))


def _state(chain: Chain) -> ChainState:
    states: Iterable[str] = {step.state for step in chain.steps}
    if states == {"completed"}:
        return "completed"
    if chain.is_cancelled:
        return "cancelled"
    ended_badly = "running" not in states and ("failed" in states or "cancelled" in states)
    return "failed" if ended_badly else "running"

"""What follows from what is known of a chain: steps that begin, are tried again or are stopped. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from contracts.base import Message
from contracts.chains import Chain, ChainState, ChainTry
from contracts.generation import GenerationCancel, GenerationRequested
from contracts.jobs import JobError
from services.characters.job_requests import job_id_of
from services.characters.policies import Policies
from services.characters.steps import depends_on, images_of, request_of, state_of
from shared.fold import Folded


class ChainRecord(Chain, Folded):
    """The `chains` document with what this service keeps for itself."""


class ChainStory:
    """Collects the changes that one message makes, and what is said because of it."""

    def __init__(self, chain: ChainRecord, at: datetime, policies: Policies) -> None:
        self.chain = chain
        self.at = at
        self.policies = policies
        self.said: list[Message] = []
        self._first = chain

    @property
    def changed(self) -> bool:
        """Whether anything is another than before."""
        return self.chain is not self._first

    def set(self, **fields: Any) -> None:
        """Change fields of the chain. What is so already leaves it the same object."""
        if any(getattr(self.chain, name) != value for name, value in fields.items()):
            later = {"updated_at": max(self.chain.updated_at, self.at)}
            self.chain = self.chain.model_copy(update=fields | later)

    def set_step(self, place: int, **fields: Any) -> None:
        """Change fields of one step."""
        steps = list(self.chain.steps)
        steps[place] = steps[place].model_copy(update=fields)
        self.set(steps=tuple(steps))

    def set_try(self, place: int, n: int, **fields: Any) -> None:
        """Change fields of one try of a step."""
        tries = list(self.chain.steps[place].tries)
        tries[n] = tries[n].model_copy(update=fields)
        self.set_step(place, tries=tuple(tries))

    def ask(self, place: int) -> None:
        """Try a step once more, under a job id of its own."""
        chain, step = self.chain, self.chain.steps[place]
        request, poses = request_of(chain, place, self.policies)
        job_id = job_id_of(chain.chain_id, place, len(step.tries) + 1)
        attempt = ChainTry(job_id=job_id, poses=poses, resumed_at=chain.resumed_at)
        self.set_step(place, tries=(*step.tries, attempt))
        self.said.append(
            GenerationRequested.model_validate(
                {
                    "job_id": job_id,
                    "tenant": chain.tenant,
                    "user_id": chain.user_id,
                    "request": request,
                    "notify": chain.notify,
                    "chain_id": chain.chain_id,
                }
            )
        )

    def stop(self, place: int, reason: str) -> None:
        """Cancel what runs of a step."""
        for n, attempt in enumerate(self.chain.steps[place].tries):
            if attempt.state == "running":
                error = JobError(code="cancelled", message=reason)
                ended_at = self.chain.cancelled_at or self.at
                self.set_try(place, n, state="cancelled", error=error, ended_at=ended_at)
                cancel = GenerationCancel(job_id=attempt.job_id, tenant=self.chain.tenant, reason=reason)
                self.said.append(cancel)


def go_on(story: ChainStory, *, resumed: bool = False) -> None:
    """Draw the conclusions. `resumed`: all that has failed so far is to be tried again."""
    _see_states(story)
    for place, step in enumerate(story.chain.steps):
        if step.state == "completed":
            story.stop(place, "another try has done it")
        elif story.chain.is_cancelled:
            story.stop(place, story.chain.cancel_reason)
        elif _is_next(story.chain, place, resumed):
            story.ask(place)
    _see_states(story)
    state = _state(story.chain)
    ended_at = None if state == "running" else story.chain.finished_at or story.at
    story.set(state=state, finished_at=ended_at)


def _is_next(chain: Chain, place: int, resumed: bool) -> bool:
    """Whether a step begins, or is tried again: once for each resumption that was asked for after it
    ended, also when that was heard of first."""
    step, before = chain.steps[place], depends_on(chain.steps, place)
    if step.state == "waiting":
        return before is not None and chain.steps[before].state == "completed"
    if step.state == "running" or not step.tries or chain.resumed_at is None:
        return False
    last = step.tries[-1]
    if last.resumed_at == chain.resumed_at:
        return False
    return resumed or (last.ended_at is not None and last.ended_at <= chain.resumed_at)


def _see_states(story: ChainStory) -> None:
    for place in range(len(story.chain.steps)):
        state, error = state_of(story.chain, place, story.policies)
        story.set_step(place, state=state, error=error, images=images_of(story.chain.steps[place]))


def _state(chain: Chain) -> ChainState:
    states: Iterable[str] = {step.state for step in chain.steps}
    if states == {"completed"}:
        return "completed"
    if chain.is_cancelled:
        return "cancelled"
    ended_badly = "running" not in states and ("failed" in states or "cancelled" in states)
    return "failed" if ended_badly else "running"

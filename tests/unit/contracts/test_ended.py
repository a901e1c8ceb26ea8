"""One rule for the end of jobs, events and renders."""

from typing import get_args

import pytest

from contracts.jobs import EventKind, RenderState, Status
from services.api.views import job_view
from tests.fakes.jobs import a_job, an_event


@pytest.mark.parametrize("status", get_args(Status))
def test_a_job_and_its_view_end_with_completed_and_failed(status: Status) -> None:
    job = a_job(status=status)
    view = job_view(job, job.requested_at)
    assert job.terminal == view.terminal == (status in ("completed", "failed"))


@pytest.mark.parametrize("event", get_args(EventKind))
def test_only_completed_and_failed_are_terminal_events(event: EventKind) -> None:
    assert an_event(event, 1).terminal == (event in ("completed", "failed"))


@pytest.mark.parametrize("state", get_args(RenderState))
def test_a_render_ends_as_done_or_failed(state: RenderState) -> None:
    render = a_job().renders[0].model_copy(update={"state": state})
    assert render.terminal == (state in ("done", "failed"))

"""Celery application: the steps as six tasks, and as one task."""

import os
from functools import cache
from typing import Any

from celery import Celery, chain, signals
from kombu.connection import Connection

from bench.contestants.children import signal_ready
from bench.contestants.steps import Steps

Document = dict[str, Any]

app = Celery("bench", broker=os.environ.get("REDIS_URL"))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=16,
    worker_send_task_events=False,
    task_send_sent_event=False,
    broker_connection_retry_on_startup=True,
    broker_pool_limit=4,
    worker_hijack_root_logger=False,
)


@signals.worker_ready.connect
def _signal_ready(**_: object) -> None:
    signal_ready(os.environ)


@cache
def steps() -> Steps:
    """Return the clients of this worker process, created for its first task."""
    return Steps(os.environ)


@app.task
def plan(request: Document) -> Document:
    return steps().plan(request)


@app.task
def open_job(planned: Document) -> Document:
    return steps().open_job(planned)


@app.task
def render(command: Document) -> Document:
    return steps().render(command)


@app.task
def store(result: Document) -> Document:
    return steps().store(result)


@app.task
def complete(stored: Document) -> Document:
    return steps().complete(stored)


@app.task
def notify(event: Document) -> None:
    steps().notify(event)


@app.task
def all_steps(request: Document) -> None:
    steps().all_steps(request)


def send_chain(request: Document, connection: Connection) -> None:
    """Submit a job of six tasks."""
    chain(plan.s(request), open_job.s(), render.s(), store.s(), complete.s(), notify.s()).apply_async(
        connection=connection
    )


def send_one(request: Document, connection: Connection) -> None:
    """Submit a job of one task."""
    all_steps.apply_async((request,), connection=connection)

"""Hops computed from the spans of one image."""

import pytest

from bench.hops import PATH, Span, hops_of


def path_of(trace: str, waits: float, works: float) -> list[Span]:
    """Return a trace in which each message waits this long for the one before."""
    spans, time = [], 100.0
    for place in PATH:
        spans.append(Span(trace, place, time, time + works))
        time += works + waits
    return spans


def test_a_hop_has_a_waiting_time_and_a_handling_time() -> None:
    first, second, *_, upstream = hops_of(path_of("a", waits=0.010, works=0.002), [0.100])
    assert first.waited is None
    assert second.waited is not None
    assert second.handled is not None
    assert (round(second.waited.p50, 3), round(second.handled.p50, 3)) == (10.0, 2.0)
    assert upstream.waited is not None
    assert round(upstream.waited.p50, 3) == 50.0


def test_other_spans_of_a_trace_do_not_count() -> None:
    other = Span("a", ("analytics", "job.events.v1"), 0.0, 9.0)
    assert hops_of([other, *path_of("a", 0.01, 0.002)], [0.1]) == hops_of(path_of("a", 0.01, 0.002), [0.1])


def test_a_redelivered_message_counts_once() -> None:
    again = [Span(span.trace, span.stage, span.start + 5, span.end + 5) for span in path_of("a", 0.01, 0.002)]
    assert hops_of([*path_of("a", 0.01, 0.002), *again], [0.1]) == hops_of(path_of("a", 0.01, 0.002), [0.1])


def test_a_job_without_a_whole_trace_is_reported() -> None:
    with pytest.raises(LookupError, match="2 jobs have ended, but only 1 left a whole trace"):
        hops_of([*path_of("a", 0.01, 0.002), *path_of("b", 0.01, 0.002)[:-1]], [0.1, 0.1])

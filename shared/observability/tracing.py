"""W3C trace context: one span per handled message; its outputs continue the trace."""

from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.settings import ProcessSettings

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("imagegen")


def configure_tracing(service: str, settings: ProcessSettings) -> None:
    """Set up the process-wide tracer. New traces are sampled at `trace_ratio`; callers decide for theirs."""
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}),
        sampler=ParentBasedTraceIdRatio(settings.trace_ratio),
    )
    if settings.trace_exporter == "console":
        exporter = ConsoleSpanExporter(formatter=_one_line)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def _one_line(span: ReadableSpan) -> str:
    return f"{span.to_json(indent=None)}\n"


def start_span(name: str, parent: str | None, attributes: dict[str, str | int]) -> trace.Span:
    """Start a consumer span below `parent` (a traceparent header), or a new trace without one."""
    above = _propagator.extract({"traceparent": parent}) if parent else context.Context()
    return _tracer.start_span(name, context=above, kind=trace.SpanKind.CONSUMER, attributes=attributes)


def traceparent(span: trace.Span) -> str | None:
    """Return the traceparent header of a span."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=trace.set_span_in_context(span))
    return carrier.get("traceparent")


def trace_id_of(parent: str | None) -> str:
    """Return the trace id of a traceparent header, or a new one without a valid header."""
    above = trace.get_current_span(_propagator.extract({"traceparent": parent or ""})).get_span_context()
    return f"{above.trace_id or RandomIdGenerator().generate_trace_id():032x}"

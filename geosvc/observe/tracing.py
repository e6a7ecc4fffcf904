"""OpenTelemetry traces of requests and their statements.

The official instrumentations of aiohttp and asyncpg make the spans. They get tracers that wrap
those of the SDK and add what the instrumentations do not know: the request that a statement belongs
to (one task may run look-ups for several requests) and attributes of geosvc. They also keep the
values of a request out of spans. The packages of OpenTelemetry are optional (the extra `otel`), so
they are imported when tracing starts.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from geosvc import __version__
from geosvc.errors import StartError
from geosvc.settings import Settings
from geosvc.trace import Trace, current_run, current_trace

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, StatusCode, Tracer

FLUSH_SECONDS = 5.0  # a stop waits so long for a collector that does not answer
UNTRACED_ROUTES = frozenset(
    {
        "/livez",
        "/readyz",
        "/metrics",
        "/slow-queries",
        "/activity",
        "/activity/{pid}/cancel",
        "/pool",
        "/{part}",  # the workers' requests to each other
    }
)
# The attributes that a request span may have. Path and query are not among them: they contain ids
# and values. The names are those of the old and of the stable semantic conventions
# (OTEL_SEMCONV_STABILITY_OPT_IN).
_SAFE_ATTRIBUTES = frozenset(
    {
        "http.method",
        "http.scheme",
        "http.host",
        "http.server_name",
        "http.flavor",
        "http.user_agent",
        "net.host.name",
        "net.host.port",
        "http.route",
        "http.request.method",
        "url.scheme",
        "server.address",
        "server.port",
        "network.protocol.version",
        "user_agent.original",
    }
)

_spans: "WeakKeyDictionary[Trace, Span]" = WeakKeyDictionary()
_current_span: "ContextVar[Span | None]" = ContextVar("_current_span", default=None)


def note_request(trace: Trace) -> None:
    """Notes that the last server span of this context belongs to this request."""
    span = _current_span.get()
    if span is not None:
        _spans[trace] = span


class _RequestSpan:
    """The current server span; before its end it gets the attributes of geosvc.

    Args:
        failed: the status of a span whose response was aborted.
    """

    __slots__ = ("_failed", "_inner", "_span")

    def __init__(self, inner: "AbstractContextManager[Span]", failed: "StatusCode") -> None:
        self._inner = inner
        self._failed = failed

    def __enter__(self) -> "Span":
        self._span = self._inner.__enter__()
        _current_span.set(self._span)
        return self._span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool | None:
        trace = current_trace.get()
        if trace is not None:
            self._span.set_attribute("geosvc.request_id", trace.request_id)
            if trace.collection is not None:
                self._span.set_attribute("geosvc.collection", trace.collection)
            if trace.aborted:
                self._span.set_attribute("geosvc.aborted", True)
                self._span.set_status(self._failed)
        if error is not None:
            self._span.set_attribute("error.type", type(error).__qualname__)
        return self._inner.__exit__(kind, error, at)


class _StatementSpan:
    """The current client span, with links from the requests that share its statement.

    After an error it has the SQLSTATE and not the message, which may quote values.
    """

    __slots__ = ("_inner", "_sharing", "_span")

    def __init__(self, inner: "AbstractContextManager[Span]", sharing: "Sequence[Span]") -> None:
        self._inner = inner
        self._sharing = sharing

    def __enter__(self) -> "Span":
        self._span = self._inner.__enter__()
        for request_span in self._sharing:
            request_span.add_link(self._span.get_span_context())
        return self._span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool | None:
        if error is not None:
            self._span.set_attribute("error.type", type(error).__qualname__)
            sqlstate = getattr(error, "sqlstate", None)
            if sqlstate is not None:
                self._span.set_attribute("db.response.status_code", sqlstate)
        return self._inner.__exit__(kind, error, at)


class _RequestTracer:
    """Makes the spans of requests, but none for UNTRACED_ROUTES.

    Args:
        api: the module opentelemetry.trace.
    """

    def __init__(self, tracer: "Tracer", api: Any) -> None:
        self._tracer = tracer
        self._api = api

    def start_as_current_span(
        self, name: str, *, attributes: Mapping[str, Any], **options: Any
    ) -> "AbstractContextManager[Span]":
        """The instrumentation calls this for every request."""
        if attributes.get("http.route") in UNTRACED_ROUTES:
            return nullcontext(self._api.INVALID_SPAN)
        safe = {key: value for key, value in attributes.items() if key in _SAFE_ATTRIBUTES}
        span = self._tracer.start_as_current_span(name, attributes=safe, **options)
        return _RequestSpan(span, self._api.StatusCode.ERROR)


class _StatementTracer:
    """Makes the spans of statements, but none when no traced request waits for the statement.

    Args:
        api: the module opentelemetry.trace.
    """

    def __init__(self, tracer: "Tracer", api: Any) -> None:
        self._tracer = tracer
        self._api = api

    def start_as_current_span(
        self, name: str, *, attributes: Mapping[str, Any], **options: Any
    ) -> "AbstractContextManager[Span]":
        """The instrumentation calls this for every statement."""
        trace = current_trace.get()
        run = current_run.get()
        waiting: list[Trace] = []
        if trace is not None:
            waiting.append(trace)
        if run is not None and run.trace is trace and run.text in attributes.values():
            attributes = {**attributes, "geosvc.statement": run.name}
            waiting += run.shared
        spans = _recording_spans(waiting)
        if not spans:
            return nullcontext(self._api.INVALID_SPAN)
        options |= {"context": self._api.set_span_in_context(spans[0])}
        options |= {"record_exception": False, "set_status_on_exception": False}
        span = self._tracer.start_as_current_span(name, attributes=attributes, **options)
        return _StatementSpan(span, spans[1:])


def _recording_spans(traces: "Sequence[Trace]") -> "list[Span]":
    """The spans of these requests that are recorded."""
    spans: list[Span] = []
    for trace in traces:
        span = _spans.get(trace)
        if span is not None and span.is_recording():
            spans.append(span)
    return spans


class _Tracers:
    """The part of a TracerProvider that an instrumentation uses; its tracers wrap the SDK's."""

    def __init__(
        self, provider: "TracerProvider", kind: "Callable[[Tracer, Any], object]", api: Any
    ) -> None:
        self._provider = provider
        self._kind = kind
        self._api = api

    def get_tracer(self, *names: Any, **options: Any) -> object:
        """An instrumentation calls this once."""
        return self._kind(self._provider.get_tracer(*names, **options), self._api)


def _resource() -> "Resource":
    """The attributes of the sender.

    OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have priority over those of geosvc. The command
    line, which some detectors add, is left out: it may contain a DSN.
    """
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415

    found = Resource.create({"service.name": "geosvc", "service.version": __version__})
    found = found.merge(OTELResourceDetector().detect())
    attributes = dict(found.attributes)
    for name in found.attributes:
        if name.startswith("process.command"):
            del attributes[name]
    return Resource(attributes, found.schema_url)


def _provider() -> "TracerProvider":
    """A provider that sends spans, configured by the OTEL_ variables.

    Spans have no events, since events quote exceptions.

    Raises: ImportError; ValueError when a variable is wrong.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(
        resource=_resource(), span_limits=SpanLimits(max_events=0), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def start_tracing(settings: Settings) -> Callable[[], None]:
    """Starts to send traces of the applications that are made after this call.

    Returns: the function that sends the rest and stops tracing.
    Raises: StartError when the packages are not installed, or an OTEL_ variable is wrong.
    """
    if not settings.otel:
        return lambda: None
    try:
        from opentelemetry import trace as api  # noqa: PLC0415
        from opentelemetry.instrumentation.aiohttp_server import (  # noqa: PLC0415
            AioHttpServerInstrumentor,
        )
        from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor  # noqa: PLC0415

        provider = _provider()
    except ImportError:
        raise StartError(
            "GEOSVC_OTEL needs packages that are not installed: those of the extra otel "
            "(docs/tracing.md)"
        ) from None
    except ValueError as error:
        raise StartError(f"an OTEL_ variable is wrong: {error}") from None
    requests: Any = AioHttpServerInstrumentor()
    statements: Any = AsyncPGInstrumentor(capture_parameters=False)  # type: ignore[no-untyped-call]
    requests.instrument(tracer_provider=_Tracers(provider, _RequestTracer, api))
    statements.instrument(tracer_provider=_Tracers(provider, _StatementTracer, api))

    def stop_tracing() -> None:
        requests.uninstrument()
        statements.uninstrument()
        flush = Thread(target=provider.shutdown, daemon=True)
        flush.start()
        flush.join(FLUSH_SECONDS)

    return stop_tracing

"""OpenTelemetry traces of requests and their statements, by the official instrumentations of aiohttp and asyncpg.

The instrumentations get tracers that stand before the SDK's. They see to what the instrumentations cannot know: which
request a statement is for (look-ups run in a task that goes from request to request), what only geosvc knows of it, and
that no value of a request gets into a span. The packages are an extra and are imported when tracing starts.
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

FLUSH_SECONDS = 5.0  # how long a stop waits for a collector that does not answer
UNTRACED_ROUTES = frozenset(
    {
        "/livez", "/readyz", "/metrics", "/slow-queries", "/activity", "/activity/{pid}/cancel", "/pool",
        "/{part}",  # what workers ask each other
    }
)  # fmt: skip
# All of what the instrumentation knows of a request that is told: not the path and the query, which hold ids and values.
# The names are those of the old and of the stable semantic conventions, OTEL_SEMCONV_STABILITY_OPT_IN.
_TOLD = frozenset(
    {
        "http.method", "http.scheme", "http.host", "http.server_name", "http.flavor", "http.user_agent", "net.host.name",
        "net.host.port", "http.route", "http.request.method", "url.scheme", "server.address", "server.port",
        "network.protocol.version", "user_agent.original",
    }
)  # fmt: skip

_spans: "WeakKeyDictionary[Trace, Span]" = WeakKeyDictionary()
_current_span: "ContextVar[Span | None]" = ContextVar("_current_span", default=None)


def note_request(trace: Trace) -> None:
    """Tells which request the server span is of that was begun last in this context."""
    span = _current_span.get()
    if span is not None:
        _spans[trace] = span


class _RequestSpan:
    """A server span while it is current; before it ends, what only geosvc knows is added.

    Args:
        failed: the status of one whose response broke off.
    """

    __slots__ = ("_failed", "_inner", "_span")

    def __init__(self, inner: "AbstractContextManager[Span]", failed: "StatusCode") -> None:
        self._inner = inner
        self._failed = failed

    def __enter__(self) -> "Span":
        self._span = self._inner.__enter__()
        _current_span.set(self._span)
        return self._span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool | None:
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
    """A client span while it is current. Requests that share its statement are linked to it; of an error its SQLSTATE is
    told and not its message, which may quote values.
    """

    __slots__ = ("_inner", "_sharing", "_span")

    def __init__(self, inner: "AbstractContextManager[Span]", sharing: "Sequence[Span]") -> None:
        self._inner = inner
        self._sharing = sharing

    def __enter__(self) -> "Span":
        self._span = self._inner.__enter__()
        for each in self._sharing:
            each.add_link(self._span.get_span_context())
        return self._span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool | None:
        if error is not None:
            self._span.set_attribute("error.type", type(error).__qualname__)
            sqlstate = getattr(error, "sqlstate", None)
            if sqlstate is not None:
                self._span.set_attribute("db.response.status_code", sqlstate)
        return self._inner.__exit__(kind, error, at)


class _RequestTracer:
    """Makes the spans of requests, none for UNTRACED_ROUTES.

    Args:
        api: the module opentelemetry.trace.
    """

    def __init__(self, tracer: "Tracer", api: Any) -> None:
        self._tracer = tracer
        self._api = api

    def start_as_current_span(
        self, name: str, *, attributes: Mapping[str, Any], **options: Any
    ) -> "AbstractContextManager[Span]":
        """What the instrumentation calls for every request."""
        if attributes.get("http.route") in UNTRACED_ROUTES:
            return nullcontext(self._api.INVALID_SPAN)
        told = {name: value for name, value in attributes.items() if name in _TOLD}
        span = self._tracer.start_as_current_span(name, attributes=told, **options)
        return _RequestSpan(span, self._api.StatusCode.ERROR)


class _StatementTracer:
    """Makes the spans of statements: none for those that no traced request waits for.

    Args:
        api: the module opentelemetry.trace.
    """

    def __init__(self, tracer: "Tracer", api: Any) -> None:
        self._tracer = tracer
        self._api = api

    def start_as_current_span(
        self, name: str, *, attributes: Mapping[str, Any], **options: Any
    ) -> "AbstractContextManager[Span]":
        """What the instrumentation calls for every statement."""
        trace, run = current_trace.get(), current_run.get()
        waiting: list[Trace] = [trace] if trace is not None else []
        if run is not None and run.trace is trace and run.text in attributes.values():
            attributes = {**attributes, "geosvc.statement": run.name}
            waiting += run.shared
        spans = [span for each in waiting if (span := _spans.get(each)) is not None and span.is_recording()]
        if not spans:
            return nullcontext(self._api.INVALID_SPAN)
        options |= {"context": self._api.set_span_in_context(spans[0])}
        options |= {"record_exception": False, "set_status_on_exception": False}
        return _StatementSpan(self._tracer.start_as_current_span(name, attributes=attributes, **options), spans[1:])


class _Tracers:
    """A TracerProvider as far as an instrumentation uses one, whose tracers stand before those of the SDK."""

    def __init__(self, provider: "TracerProvider", kind: "Callable[[Tracer, Any], object]", api: Any) -> None:
        self._provider = provider
        self._kind = kind
        self._api = api

    def get_tracer(self, *names: Any, **options: Any) -> object:
        """What an instrumentation calls once."""
        return self._kind(self._provider.get_tracer(*names, **options), self._api)


def _resource() -> "Resource":
    """Who sends: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES beat what geosvc says of itself. Command lines, which some
    detectors add, may hold a DSN.
    """
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415

    found = Resource.create({"service.name": "geosvc", "service.version": __version__})
    found = found.merge(OTELResourceDetector().detect())
    told = {name: value for name, value in found.attributes.items() if not name.startswith("process.command")}
    return Resource(told, found.schema_url)


def _provider() -> "TracerProvider":
    """A provider that sends, as the OTEL_ variables say. It keeps no events of spans, which quote exceptions.

    Raises: ImportError; ValueError when a variable is wrong.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=_resource(), span_limits=SpanLimits(max_events=0), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def start_tracing(settings: Settings) -> Callable[[], None]:
    """Sends traces from now on, of applications that are made from now on. Returns the function that sends the rest and
    ends it.

    Raises: StartError when the packages are not installed, or a variable of theirs is wrong.
    """
    if not settings.otel:
        return lambda: None
    try:
        from opentelemetry import trace as api  # noqa: PLC0415
        from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor  # noqa: PLC0415
        from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor  # noqa: PLC0415

        provider = _provider()
    except ImportError:
        raise StartError("GEOSVC_OTEL needs packages that are not installed: pip install geosvc[otel]") from None
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

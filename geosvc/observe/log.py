"""The log: JSON lines on standard error, one `event` each, or lines for people."""

import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson
import structlog

from geosvc.events import Event, Measurement, subscribe
from geosvc.settings import Settings
from geosvc.trace import current_trace

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _as_json(_: Any, __: str, line: dict[str, Any]) -> str:
    return orjson.dumps(line, default=str).decode()


def _renderer(log_format: str) -> Callable[..., Any]:
    if log_format == "json":
        return _as_json
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def start_log(settings: Settings) -> Callable[[], None]:
    """Logs every event from now on, and what libraries log of warnings and errors. Returns the function that ends it."""
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = _renderer(settings.log_format)
    level = _LEVELS[settings.log_level]
    logger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )

    def write(event: Event) -> None:
        fields = asdict(event)
        trace = current_trace.get()
        if trace is not None:
            fields.setdefault("request_id", trace.request_id)
        getattr(logger, event.level)(event.name(), **fields)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*processors, structlog.stdlib.add_logger_name, structlog.processors.format_exc_info],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.addHandler(handler)
    previous, root.level = root.level, max(level, logging.WARNING)
    # what fails in a handler is an event; what is left here is rubbish that clients send instead of HTTP
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    unsubscribe = subscribe(write, but=(Measurement,))

    def stop_log() -> None:
        unsubscribe()
        root.removeHandler(handler)
        root.setLevel(previous)

    return stop_log

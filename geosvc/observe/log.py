"""The log on standard error. It has a line for each event, in JSON or as text for a terminal."""

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

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_FIRST_FIELDS = ("event", "level", "timestamp")


def _as_json(_: Any, __: str, line: dict[str, Any]) -> str:
    ordered: dict[str, Any] = {}
    for name in _FIRST_FIELDS:
        if name in line:
            ordered[name] = line.pop(name)
    ordered.update(line)
    return orjson.dumps(ordered, default=str).decode()


def _renderer(log_format: str) -> Callable[..., Any]:
    if log_format == "json":
        return _as_json
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)


def _log_format(settings: Settings) -> str:
    if settings.log_format:
        return settings.log_format
    if sys.stderr.isatty():
        return "console"
    return "json"


def _time_stamper(log_format: str) -> Any:
    if log_format == "json":
        return structlog.processors.TimeStamper(fmt="iso", utc=True)
    return structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)


def start_log(settings: Settings) -> Callable[[], None]:
    """Starts to log every event, and the warnings and errors of libraries.

    Returns: the function that stops it.
    """
    log_format = _log_format(settings)
    processors = [structlog.processors.add_log_level, _time_stamper(log_format)]
    renderer = _renderer(log_format)
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
            foreign_pre_chain=[
                *processors,
                structlog.stdlib.add_logger_name,
                structlog.processors.format_exc_info,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.addHandler(handler)
    previous = root.level
    root.level = max(level, logging.WARNING)
    # Failures of handlers are events. aiohttp's other messages are about clients that do not send
    # HTTP.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    unsubscribe = subscribe(write, but=(Measurement,))

    def stop_log() -> None:
        unsubscribe()
        root.removeHandler(handler)
        root.setLevel(previous)

    return stop_log

"""Subscribing to events, and the one `emit`.

A subscriber is called synchronously, must not block and must not raise.
"""

from collections import Counter
from collections.abc import Callable

from geosvc.events.event import Event
from geosvc.events.service_events import TelemetryFailed

Subscriber = Callable[[Event], None]

Kinds = tuple[type[Event], ...]

_subscribers: tuple[tuple[Subscriber, Kinds, Kinds], ...] = ()
"""Each subscriber, the kinds that it wants, and those among them that it does not want."""

_wanting: dict[type[Event], tuple[Subscriber, ...]] = {}
"""The subscribers of each kind of event, entered when the first event of the kind is emitted."""

failures: Counter[str] = Counter()
"""How often each part of the telemetry has failed in this process."""


def subscribe(subscriber: Subscriber, *kinds: type[Event], but: Kinds = ()) -> Callable[[], None]:
    """Calls `subscriber` with every event of these kinds from now on; with all events if no kind
    is named. Returns the function that ends the subscription.

    Args:
        but: kinds that the subscriber does not want.
    """
    global _subscribers
    entry = (subscriber, kinds or (Event,), but)
    _subscribers = (*_subscribers, entry)
    _wanting.clear()

    def unsubscribe() -> None:
        global _subscribers
        _subscribers = tuple(each for each in _subscribers if each is not entry)
        _wanting.clear()

    return unsubscribe


def emit(event: Event) -> None:
    """Calls every subscriber that wants events of this kind."""
    kind = type(event)
    try:
        subscribers = _wanting[kind]
    except KeyError:
        subscribers = _wanting[kind] = _subscribers_of(kind)
    for subscriber in subscribers:
        try:
            subscriber(event)
        except Exception as error:  # a failure of a subscriber must not fail the request
            part = getattr(subscriber, "__qualname__", "subscriber")
            report_failure(part, f"{type(error).__name__}: {error}")


def _subscribers_of(kind: type[Event]) -> tuple[Subscriber, ...]:
    found: list[Subscriber] = []
    for subscriber, wanted, unwanted in _subscribers:
        if issubclass(kind, wanted) and not issubclass(kind, unwanted):
            found.append(subscriber)
    return tuple(found)


def report_failure(part: str, reason: str) -> None:
    """Counts a failure of the telemetry itself, and emits an event for the first of each part."""
    failures[part] += 1
    if failures[part] == 1:
        emit(TelemetryFailed(part=part, reason=reason))

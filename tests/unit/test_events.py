"""Events and the one emit."""

import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest

from geosvc import events
from geosvc.events import (
    CatalogLoaded,
    ClientGone,
    DatabaseFound,
    Event,
    RequestFailed,
    emit,
    subscribe,
)
from geosvc.trace import current_trace

EVENTS = [
    each for each in vars(events).values() if isinstance(each, type) and issubclass(each, Event)
]
EVENTS = [each for each in EVENTS if each not in (Event, events.Measurement)]


@pytest.fixture
def seen() -> Iterator[list[Event]]:
    """The events that are emitted during a test."""
    found: list[Event] = []
    unsubscribe = subscribe(found.append)
    yield found
    unsubscribe()


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_is_a_frozen_dataclass_with_a_name_a_level_and_a_sentence(
    kind: type[Event],
) -> None:
    assert is_dataclass(kind)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", kind.name())
    assert kind.level in ("debug", "info", "warning", "error")
    assert (kind.__doc__ or "").rstrip().endswith(".")
    event = kind(**{field.name: "x" for field in fields(kind)})
    for name in (*(field.name for field in fields(kind)), "level"):
        with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
            setattr(event, name, "y")
    assert not hasattr(event, "__dict__")


def names_below(kind: type[Event]) -> Iterator[str]:
    """The class names of all kinds of a kind of event."""
    for each in kind.__subclasses__():
        yield each.__name__
        yield from names_below(each)


def test_every_event_is_imported_from_the_package() -> None:
    assert {*names_below(Event)} <= vars(events).keys()


def test_no_two_events_have_one_name() -> None:
    assert len(EVENTS) > 5
    assert len({kind.name() for kind in EVENTS}) == len(EVENTS)


def test_an_event_is_named_by_its_class() -> None:
    assert CatalogLoaded.name() == "catalog_loaded"
    assert RequestFailed.name() == "request_failed"


def test_every_subscriber_gets_every_event_in_order(seen: list[Event]) -> None:
    others: list[Event] = []
    unsubscribe = subscribe(others.append)
    first, second = DatabaseFound(), ClientGone(method="GET", route="/")
    emit(first)
    emit(second)
    unsubscribe()
    emit(first)
    assert seen == [first, second, first]
    assert others == [first, second]


def test_a_subscription_that_ended_twice_ends_no_other(seen: list[Event]) -> None:
    unsubscribe = subscribe(lambda event: None)
    unsubscribe()
    unsubscribe()
    emit(DatabaseFound())
    assert seen == [DatabaseFound()]


def test_a_subscriber_that_ends_itself_does_not_disturb_the_others(seen: list[Event]) -> None:
    once: list[Event] = []

    def listen(event: Event) -> None:
        once.append(event)
        unsubscribe()

    unsubscribe = subscribe(listen)
    last: list[Event] = []
    unsubscribe_last = subscribe(last.append)
    emit(DatabaseFound())
    emit(DatabaseFound())
    unsubscribe_last()
    assert len(once) == 1
    assert len(seen) == len(last) == 2


def test_a_subscriber_gets_the_kinds_that_it_wants_and_their_kinds_of_kinds() -> None:
    notices: list[Event] = []
    others: list[Event] = []
    said: dict[str, Any] = {
        "severity": "NOTICE",
        "sqlstate": "00000",
        "message": "m",
        "statement": None,
        "request_id": None,
    }
    first, second = events.ServerNotice(**said), events.ServerWarning(**said)
    ends = [
        subscribe(notices.append, events.ServerNotice),
        subscribe(others.append, but=(events.ServerNotice,)),
    ]
    for event in (first, second, DatabaseFound()):
        emit(event)
    for end in ends:
        end()
    assert notices == [first, second]
    assert others == [DatabaseFound()]


def test_there_is_no_trace_outside_a_request() -> None:
    assert current_trace.get() is None

"""Encodes server-sent events. Source: WHATWG HTML 9.2."""

import re

_LINE_END = re.compile(rb"\r\n|\r|\n")


def encode_event(event_id: str, name: str, content: bytes) -> bytes:
    """An event.

    A line end in the content, which JSON may have between its tokens, begins another `data` line.
    """
    if b"\n" in content or b"\r" in content:
        content = b"\ndata: ".join(_LINE_END.split(content))
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), content)


def encode_heartbeat(event_id: str | None) -> bytes:
    """A comment, with the event id from which to resume if it is known.

    A browser keeps the id without an event for the page.
    """
    if event_id is None:
        return b": heartbeat\n\n"
    return b": heartbeat\nid: %b\n\n" % event_id.encode()


def encode_beginning(event_id: str, retry_milliseconds: int) -> bytes:
    """The beginning of a stream: the time before a reconnection, and the id to resume from."""
    return b"retry: %d\nid: %b\n\n" % (retry_milliseconds, event_id.encode())

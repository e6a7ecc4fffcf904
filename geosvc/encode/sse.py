"""Encodes server-sent events. Source: WHATWG HTML 9.2."""

import re

_LINE_END = re.compile(rb"\r\n|\r|\n")


def encode_event(event_id: str, name: str, content: bytes) -> bytes:
    """Encodes an event.

    JSON may have line ends between its tokens. Each line of the content becomes a `data` line.
    """
    if b"\n" in content or b"\r" in content:
        content = b"\ndata: ".join(_LINE_END.split(content))
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), content)


def encode_heartbeat(event_id: str | None) -> bytes:
    """Encodes a comment, with the event id from which to resume if it is known.

    A browser keeps the id, and the page gets no event.
    """
    if event_id is None:
        return b": heartbeat\n\n"
    return b": heartbeat\nid: %b\n\n" % event_id.encode()


def encode_beginning(event_id: str, retry_milliseconds: int) -> bytes:
    """Encodes the beginning of a stream.

    Args:
        event_id: from which the client resumes after a disconnection.
        retry_milliseconds: how long the client waits before it connects again.
    """
    return b"retry: %d\nid: %b\n\n" % (retry_milliseconds, event_id.encode())

"""Server-sent events. Source: WHATWG HTML 9.2."""

import re

_LINE_END = re.compile(rb"\r\n|\r|\n")


def encode_event(event_id: str, name: str, content: bytes) -> bytes:
    """An event. A line end in the content, which JSON may have between its tokens, begins another line of it."""
    lines = content if b"\n" not in content and b"\r" not in content else b"\ndata: ".join(_LINE_END.split(content))
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), lines)


def encode_heartbeat(event_id: str | None) -> bytes:
    """A comment, and where to go on from if that is known: browsers take the id, and tell nobody."""
    return b": heartbeat\n\n" if event_id is None else b": heartbeat\nid: %b\n\n" % event_id.encode()


def encode_beginning(event_id: str, retry_milliseconds: int) -> bytes:
    """What a stream begins with: how soon to come back, and where from."""
    return b"retry: %d\nid: %b\n\n" % (retry_milliseconds, event_id.encode())

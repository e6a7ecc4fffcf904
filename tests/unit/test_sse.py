"""Server-sent events, as a parser written after the standard reads them."""

from hypothesis import given
from hypothesis import strategies as st

from geosvc.encode.sse import encode_beginning, encode_event, encode_heartbeat
from tests.events import parse_events


@given(st.text(max_size=60))
def test_any_content_arrives_with_its_lines(text: str) -> None:
    (event,) = parse_events(encode_event("a-1.2", "insert", text.encode()))
    assert (event.id, event.name) == ("a-1.2", "insert")
    assert event.text == text.replace("\r\n", "\n").replace("\r", "\n")


def test_a_heartbeat_and_the_beginning_tell_nobody_and_move_the_id() -> None:
    first, second, third = parse_events(
        encode_beginning("a-1.2", 1_000)
        + encode_heartbeat("a-3.4")
        + encode_event("a-5.6", "delete", b"{}")
    )
    assert (first.id, first.name, first.text) == ("a-1.2", "", "")
    assert (second.id, second.name, second.text) == ("a-3.4", "", "")
    assert (third.id, third.name, third.text) == ("a-5.6", "delete", "{}")


def test_the_reader_of_the_tests_keeps_the_id_at_a_heartbeat_without_one() -> None:
    body = encode_event("one", "insert", b"{}") + encode_heartbeat(None)
    assert [event.id for event in parse_events(body)] == ["one", "one"]
    assert [event.id for event in parse_events(encode_heartbeat(None), "two")] == ["two"]

"""Snapshots as cursors, and the ids of events made from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.errors import InvalidParameter
from geosvc.model.change import parse_box
from geosvc.model.snapshot import Position, Snapshot
from geosvc.requests.event_id import MAX_LENGTH, encode_event_id, parse_event_id

EPOCH = "0123456789ab"


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any snapshot that PostgreSQL could have."""
    xmin = draw(st.integers(1, 1 << 62))
    ends = sorted(draw(st.sets(st.integers(0, 5_000), max_size=60)))
    return Snapshot(xmin, xmin + (ends.pop() if ends else 0), tuple(xmin + each for each in ends))


POSITIONS = st.one_of(
    st.builds(Position, snapshots()),
    st.builds(
        Position,
        snapshots(),
        snapshots(),
        st.integers(0, (1 << 63) - 1),
        st.integers(0, (1 << 63) - 1),
    ),
)


@given(snapshots())
def test_a_snapshot_is_read_as_it_is_written(snapshot: Snapshot) -> None:
    assert Snapshot.parse(str(snapshot)) == snapshot
    assert snapshot.is_sound


@given(snapshots(), st.integers(0, 5_100))
def test_a_snapshot_sees_what_had_ended(snapshot: Snapshot, beyond: int) -> None:
    xid = snapshot.xmin + beyond
    assert snapshot.sees(xid) == (xid < snapshot.xmax and xid not in snapshot.in_progress)
    assert snapshot.sees(snapshot.xmin - 1)


@pytest.mark.parametrize("text", ["", "1", "1:2", "1:2:3:4", "a:b:", "1:2:,", "-1:2:", "1:2:3,"])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no snapshot"):
        Snapshot.parse(text)


@given(POSITIONS)
def test_an_event_id_is_read_as_it_is_written_and_fits_a_header_and_a_url(
    position: Position,
) -> None:
    text = encode_event_id(EPOCH, position)
    assert parse_event_id(text) == (EPOCH, position)
    assert set(text) <= set("0123456789abcdef.-")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "17",
        "0123456789ab",
        f"{EPOCH}-",
        f"{EPOCH}-0.0",  # no transaction has this number
        f"{EPOCH}-5",
        f"{EPOCH}-5.3.2.1",  # not in order
        f"{EPOCH}-5.3.3",  # not below xmax
        f"{EPOCH}-5.3-",
        f"{EPOCH}-5.3-5.4",
        f"{EPOCH}-5.3-5.4-1",
        f"{EPOCH}-5.3-5.4-1.99999999999999999999",
        f"{EPOCH}-5.3-5.4-1.9999999999999999999",  # beyond bigint
        f"{EPOCH}-9999999999999999999.1",
        f"{EPOCH.upper()}-5.3",
        f"{EPOCH}-٣.3",
        f"{EPOCH}-5.3\n",
        f"{EPOCH}-5.3" + ".1" * MAX_LENGTH,
    ],
)
def test_what_is_no_event_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Last-Event-ID is not one that this service issued"):
        parse_event_id(text)


@given(st.text(alphabet="0123456789abcdef.-", max_size=60))
def test_no_text_does_anything_but_be_refused(text: str) -> None:
    try:
        _, position = parse_event_id(f"{EPOCH}-{text}")
    except InvalidParameter:
        return
    assert position.seen.is_sound


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("(1.5,2),(-1,0)", (-1, 0, 1.5, 2)),
        ("(1e+20,2),(1e-05,0)", (1e-05, 0, 1e20, 2)),
        ("(Infinity,2),(-Infinity,0)", (float("-inf"), 0, float("inf"), 2)),
        (None, None),
        ("nothing", None),
    ],
)
def test_a_box_begins_with_its_upper_corner(
    text: str | None, bounds: tuple[float, ...] | None
) -> None:
    assert parse_box(text) == bounds


@given(snapshots(), snapshots())
def test_a_snapshot_that_sees_what_another_does_not_is_ahead_of_it(
    one: Snapshot, other: Snapshot
) -> None:
    assert not one.is_ahead_of(one)
    news = [xid for xid in other.in_progress if one.sees(xid)]
    assert one.is_ahead_of(other) == (one.xmax > other.xmax or bool(news))


def test_a_position_too_long_for_a_header_is_one_of_no_log() -> None:
    """A standby lists subtransactions, of which there may be any number: such a subscriber begins
    anew.
    """
    text = encode_event_id(EPOCH, Position(Snapshot(1, 10_001, tuple(range(1, 10_001)))))
    assert len(text) < 100
    epoch, _ = parse_event_id(text)
    assert epoch != EPOCH

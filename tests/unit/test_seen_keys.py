"""Ids that were there before are found, in however many pieces they come."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from geosvc.database.writes.seen_keys import SeenKeys

KEYS = st.tuples(st.integers(-5, 40).map(str)) | st.tuples(
    st.sampled_from("abc"), st.integers(0, 9).map(str)
)
PIECES = st.lists(st.lists(KEYS, max_size=30), max_size=30)


def expected(pieces: list[list[tuple[str, ...]]]) -> list[list[int]]:
    """The same by a set."""
    known: set[tuple[str, ...]] = set()
    found = []
    for piece in pieces:
        places = []
        for place, key in enumerate(piece):
            if key in known:
                places.append(place)
            known.add(key)
        found.append(places)
    return found


@given(PIECES)
def test_what_was_there_before_is_found_and_the_first_is_not(
    pieces: list[list[tuple[str, ...]]],
) -> None:
    seen = SeenKeys()
    assert [seen.add(piece) for piece in pieces] == expected(pieces)


@given(st.lists(st.integers(0, 500), max_size=60))
def test_pieces_of_any_size_without_doubles_have_none(sizes: list[int]) -> None:
    seen, begin = SeenKeys(), 0
    for size in sizes:
        assert seen.add([(str(number),) for number in range(begin, begin + size)]) == []
        begin += size
    assert seen.add([(str(number),) for number in range(begin)]) == list(range(begin))


def test_an_id_is_found_again_a_million_later() -> None:
    seen = SeenKeys()
    for start in range(0, 1_000_000, 10_000):
        assert seen.add([(str(number),) for number in range(start, start + 10_000)]) == []
    assert seen.add([("1000000",), ("7",), ("1000001",), ("999999",), ("1000001",)]) == [1, 3, 4]


def test_a_key_of_two_values_is_not_one_of_the_same_text() -> None:
    seen = SeenKeys()
    assert seen.add([("a", "bc"), ("ab", "c"), ("abc",), ("a,bc",), ("a", "bc")]) == [4]


def test_uuids_are_told_apart() -> None:
    seen = SeenKeys()
    keys = [(str(UUID(int=number << 64)),) for number in range(1_000)]
    assert seen.add(keys) == []
    assert seen.add(keys[500:501]) == [0]


def test_few_runs_are_kept_however_many_pieces_come() -> None:
    seen = SeenKeys()
    for number in range(2_000):
        seen.add([(str(number),)])
    assert len(seen._runs) <= 12
    assert sum(map(len, seen._runs)) == 2_000

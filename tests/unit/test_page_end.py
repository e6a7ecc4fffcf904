"""Where a page ends."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from geosvc.query.paging import PageEnd

ROWS = st.integers(0, 30).map(lambda number: [(f"f{place}", str(place)) for place in range(number)])


def in_batches(rows: list[tuple[str, str]], cuts: list[int]) -> list[list[tuple[str, str]]]:
    """The rows cut at these places."""
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    return [rows[start:end] for start, end in pairwise(edges)]


@given(ROWS, st.none() | st.integers(1, 30), st.lists(st.integers(0, 30), max_size=6))
def test_any_split_into_batches_gives_the_same_page(
    rows: list[tuple[str, str]], limit: int | None, cuts: list[int]
) -> None:
    end = PageEnd(limit)
    taken = [row for batch in in_batches(rows, cuts) for row in end.take(batch)]
    assert taken == rows[:limit]
    assert end.returned == len(taken)
    assert end.last == (taken[-1] if taken else None)
    assert end.more is (limit is not None and len(rows) > limit)


def test_one_row_too_many_shows_a_next_page_and_is_left_out() -> None:
    end = PageEnd(2)
    assert end.take([("a", "1")]) == [("a", "1")]
    assert not end.more
    assert end.take([("b", "2")]) == [("b", "2")]
    assert not end.more
    assert end.take([("c", "3")]) == []
    assert (end.more, end.returned, end.last) == (True, 2, ("b", "2"))


def test_a_page_without_rows_has_no_last_row() -> None:
    end = PageEnd(5)
    assert end.take([]) == []
    assert (end.more, end.returned, end.last) == (False, 0, None)

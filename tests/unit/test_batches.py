"""How many rows a batch takes."""

from hypothesis import given
from hypothesis import strategies as st

from geosvc.encode.batches import FIRST_ROWS, BatchSize

SIZES = st.builds(
    BatchSize, st.integers(1, 10_000), st.integers(1, 1 << 24), st.integers(64, 1 << 24)
)
ROWS = st.lists(st.integers(0, 5_000), min_size=1, max_size=50).map(
    lambda sizes: [("x" * size, "key") for size in sizes]
)


@given(SIZES)
def test_the_first_batch_is_small_and_never_empty(sizes: BatchSize) -> None:
    assert 1 <= sizes.next_rows([]) <= min(FIRST_ROWS, sizes.max_rows)


@given(SIZES, ROWS)
def test_a_batch_is_never_empty_and_keeps_to_every_bound(
    sizes: BatchSize, last: list[tuple[str, str]]
) -> None:
    rows = sizes.next_rows(last)
    assert 1 <= rows <= max(min(sizes.max_rows, 4 * len(last)), 1)
    row_bytes = max(sum(len(row[0]) for row in last) // len(last), 1)
    assert rows == 1 or rows * row_bytes <= sizes.target_bytes


@given(SIZES, ROWS)
def test_rows_of_twice_the_size_never_make_a_larger_batch(
    sizes: BatchSize, last: list[tuple[str, str]]
) -> None:
    assert sizes.next_rows([(text * 2, key) for text, key in last]) <= sizes.next_rows(last)


def test_batches_of_small_rows_grow_fourfold_to_the_most() -> None:
    sizes, seen = BatchSize(1_000, 1 << 20, 64), []
    rows = sizes.next_rows([])
    for _ in range(4):
        seen.append(rows)
        rows = sizes.next_rows([("x" * 50,)] * rows)
    assert seen == [100, 400, 1_000, 1_000]


def test_rows_of_a_megabyte_come_one_at_a_time() -> None:
    sizes = BatchSize(1_000, 1 << 20, 1 << 20)
    assert sizes.next_rows([]) == 1
    assert sizes.next_rows([("x" * (1 << 20),)]) == 1
    assert sizes.next_rows([("x" * (2 << 20),)]) == 1


def test_a_batch_fills_the_target_by_the_size_of_the_last_rows() -> None:
    assert BatchSize(10_000, 1_000_000, 64).next_rows([("x" * 1_000,)] * 500) == 1_000

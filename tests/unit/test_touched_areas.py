"""Where a table was changed: never less than what was touched, seldom more."""

import math

from hypothesis import example, given
from hypothesis import strategies as st

from geosvc.live.area_versions import MAX_BOXES, AreaVersions, answer_area
from geosvc.live.touched_areas import MAX_CELLS, TouchedAreas, cells_of
from geosvc.model.bounds import Bounds

WORLD = 360.0


def boxes(largest: float = 400.0) -> st.SearchStrategy[Bounds]:
    number = st.floats(-largest, largest)
    width = st.floats(0, largest) | st.floats(0, 0.01)
    return st.builds(lambda x, y, w, h: (x, y, x + w, y + h), number, number, width, width)


def intersect(one: Bounds, other: Bounds) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


@given(st.lists(boxes(), max_size=30), boxes())
@example([(0, 0, 0, 0)], (-1, -1, 0, 0))
def test_every_change_of_an_area_is_seen(changes: list[Bounds], area: Bounds) -> None:
    table = TouchedAreas(WORLD, 0)
    for position, box in enumerate(changes, 1):
        table.touch([box], position)
    latest = max(
        (position for position, box in enumerate(changes, 1) if intersect(box, area)), default=0
    )
    assert table.last_touch(cells_of([area], WORLD)) >= latest


def test_changes_far_away_are_not_seen() -> None:
    table = TouchedAreas(WORLD, 0)
    for position in range(1, 2_000):
        longitude = 100 + position % 7 * 0.01
        table.touch([(longitude, 10, longitude + 0.001, 10.001)], position)
    for width in (180, 45, 5, 0.1, 0.001):
        assert table.last_touch(cells_of([(-150, -60, -150 + width, -60 + width / 2)], WORLD)) == 0
    assert table.last_touch(cells_of([(100, 9, 101, 11)], WORLD)) == 1_999


def test_what_is_not_known_touches_everything() -> None:
    for unknown in (None, [(math.nan, 0, 1, 1)], [(0, 0, math.inf, 1)], [(-400, -400, 400, 400)]):
        table = TouchedAreas(WORLD, 0)
        table.touch(unknown, 7)
        assert table.last_touch(cells_of([(5, 5, 5.1, 5.1)], WORLD)) == 7


def test_what_is_forgotten_counts_as_touched() -> None:
    table = TouchedAreas(WORLD, 0)
    position = 0
    while table.last_touch(cells_of([(-170, -80, -169, -79)], WORLD)) == 0:
        position += 1
        longitude, latitude = position % 1_000 / 10, position // 1_000 / 10
        table.touch([(longitude, latitude, longitude, latitude)], position)
        assert position < MAX_CELLS
    assert position > 1_000


def test_a_position_is_that_of_the_first_time() -> None:
    versions = AreaVersions()
    area = answer_area([(0, 0, 1, 1)])
    first = versions.now(1, 100, area)
    assert versions.is_untouched(1, area, first)
    versions.apply({1: [(0.5, 0.5, 0.6, 0.6)]})
    versions.apply({2: [(0.5, 0.5, 0.6, 0.6)]})
    assert versions.now(1, 100, area) == first
    assert not versions.is_untouched(1, area, first)
    assert versions.is_untouched(1, answer_area([(50, 50, 51, 51)]), first)
    second = versions.now(1, 200, area)
    assert versions.is_untouched(1, area, second)
    assert versions.position_of(1, 300) is None


def test_a_table_that_nobody_asked_about_before_a_change_is_touched_by_it() -> None:
    versions = AreaVersions()
    area = answer_area([(0, 0, 1, 1)])
    before = versions.now(2, 50, area)
    versions.apply({1: [(70, 70, 71, 71)]})
    versions.now(1, 100, area)
    assert not versions.is_untouched(1, area, before)
    assert versions.is_untouched(1, area, versions.now(1, 101, area))


def test_an_area_without_bounds_is_the_table() -> None:
    versions = AreaVersions()
    everywhere = answer_area(None)
    before = versions.now(1, 100, everywhere)
    assert versions.is_untouched(1, everywhere, before)
    versions.apply({2: []})
    assert versions.is_untouched(1, everywhere, before)
    versions.apply({1: []})
    assert not versions.is_untouched(1, everywhere, before)


def test_too_many_boxes_and_a_new_log_touch_everything() -> None:
    versions = AreaVersions()
    area = answer_area([(0, 0, 1, 1)])
    before = versions.now(1, 100, area)
    versions.is_untouched(1, area, before)
    versions.apply({1: [(70.0, 70.0, 70.0, 70.0)] * (MAX_BOXES + 1)})
    assert not versions.is_untouched(1, area, before)
    after = versions.now(1, 101, area)
    versions.forget()
    assert versions.position_of(1, 101) is None
    assert versions.now(1, 101, area) > after
    assert not versions.is_untouched(1, area, after)

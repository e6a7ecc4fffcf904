"""The parameter `bbox`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.errors import InvalidParameter
from geosvc.model.bbox import Bbox, parse_bbox

LONGITUDES = st.floats(-540, 540)
LATITUDES = st.floats(-90, 90)


@pytest.mark.parametrize(
    "text", ["", "1", "1,2,3", "1,2,3,4,5", "1,2,3,4,5,6,7", ",".join("1" * 5000)]
)
def test_a_bbox_of_three_numbers_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidParameter, match="bbox takes 4 or 6 numbers") as caught:
        parse_bbox(text)
    assert caught.value.parameter == "bbox"


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c,d",
        "1,2,3,",
        "1;2;3;4,,,",
        "1,2,3,0x10",
        "nan,1,2,3",
        "1,NaN,2,3",
        "1,2,inf,4",
        "-Infinity,2,3,4",
        "1,2,1e400,4",
        "1,2,3,4,5,nan",
        "0,0,inf,1,1,1",
        "1,-90.1,2,3",
        "1,2,3,90.0000001",
        "1,3,2,2",
        "-540.1,0,1,1",
        "0,0,541,1",
        "0,0,5,1,1,4",
    ],
)
def test_a_box_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_bbox(text)
    assert caught.value.parameter == "bbox"
    assert str(caught.value).startswith("bbox ")


@pytest.mark.parametrize("text", ["1_0,2,30,4", "١,2,3,4", "1,2,3,４"])
def test_only_ascii_numbers_without_underscores_are_numbers(text: str) -> None:
    with pytest.raises(InvalidParameter, match="no number"):
        parse_bbox(text)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("1,2,3,4", Bbox(1, 2, 3, 4)),
        ("1.5,-2,3e0,+4", Bbox(1.5, -2, 3, 4)),
        ("5,45,-10,12,52,300", Bbox(5, 45, 12, 52, -10, 300)),
        ("7,7,7,7", Bbox(7, 7, 7, 7)),
        ("-180,-90,180,90", Bbox(-180, -90, 180, 90)),
        ("176,-20,-176,-15", Bbox(176, -20, -176, -15)),
        ("176,-20,184,-15", Bbox(176, -20, -176, -15)),
        ("-184,-20,-176,-15", Bbox(176, -20, -176, -15)),
        ("-300,0,300,1", Bbox(-180, 0, 180, 1)),
        ("-180,0,540,1", Bbox(-180, 0, 180, 1)),
        ("370,0,380,1", Bbox(10, 0, 20, 1)),
    ],
)
def test_a_box_is_west_south_east_north(text: str, box: Bbox) -> None:
    assert parse_bbox(text) == box


@given(LONGITUDES, LATITUDES, LONGITUDES, LATITUDES)
def test_every_box_of_a_map_becomes_parts_on_the_globe_of_the_same_width(
    w: float, s: float, e: float, n: float
) -> None:
    south, north = sorted((s, n))
    parts = parse_bbox(f"{w!r},{south!r},{e!r},{north!r}").parts()
    assert len(parts) in (1, 2)
    for part in parts:
        assert -180 <= part.xmin <= part.xmax <= 180
        assert (part.ymin, part.ymax) == (south, north)
    width = sum(part.xmax - part.xmin for part in parts)
    if e - w >= 360:
        assert width == 360
    else:
        assert min((width - (e - w)) % 360, (e - w - width) % 360) < 1e-9


@given(LONGITUDES, st.floats(0, 359), st.floats(0, 1))
def test_a_place_between_west_and_east_lies_in_a_part(
    west: float, width: float, fraction: float
) -> None:
    east = min(west + width, 540.0)
    inside = west + (east - west) * fraction
    wrapped = inside if -180 <= inside <= 180 else (inside + 180) % 360 - 180
    parts = parse_bbox(f"{west!r},0,{east!r},1").parts()
    candidates = (wrapped, -180.0, 180.0) if abs(abs(wrapped) - 180) < 1e-9 else (wrapped,)
    assert any(
        part.xmin - 1e-9 <= each <= part.xmax + 1e-9 for part in parts for each in candidates
    )


def test_both_parts_of_a_box_across_the_antimeridian_keep_the_heights() -> None:
    assert parse_bbox("170,-20,5,-170,-15,9").parts() == (
        Bbox(170, -20, 180, -15, 5, 9),
        Bbox(-180, -20, -170, -15, 5, 9),
    )


@pytest.mark.parametrize(
    ("text", "covers"),
    [
        ("-180,-90,180,90", True),
        ("-540,-90,540,90", True),
        ("-180,-90,180,89.9", False),
        ("-180,-90,179,90", False),
    ],
)
def test_only_the_whole_globe_covers_the_world(text: str, covers: bool) -> None:
    assert parse_bbox(text).covers_the_world is covers


@pytest.mark.parametrize(
    ("box", "area", "within"),
    [
        (Bbox(1, 1, 2, 2), (0, 0, 3, 3), True),
        (Bbox(0, 0, 3, 3), (0, 0, 3, 3), True),
        (Bbox(-1, 1, 2, 2), (0, 0, 3, 3), False),
        (Bbox(1, 1, 4, 2), (0, 0, 3, 3), False),
        (Bbox(1, -1, 2, 2), (0, 0, 3, 3), False),
        (Bbox(1, 1, 2, 4), (0, 0, 3, 3), False),
        (Bbox(171, 1, 175, 2), (170, 0, -170, 3), True),
        (Bbox(-179, 1, -175, 2), (170, 0, -170, 3), True),
        (Bbox(-179, 1, -165, 2), (170, 0, -170, 3), False),
        (Bbox(165, 1, 175, 2), (170, 0, -170, 3), False),
        (Bbox(-175, 1, 175, 2), (170, 0, -170, 3), False),
    ],
)
def test_a_part_lies_within_an_area_of_use_or_not(
    box: Bbox, area: tuple[float, float, float, float], within: bool
) -> None:
    assert box.lies_within(area) is within

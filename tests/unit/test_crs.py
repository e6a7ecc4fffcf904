"""Reference systems as clients name them, and boxes of one in another."""

import math

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from geosvc.errors import InvalidParameter
from geosvc.model.bbox import Bbox, parse_bbox
from geosvc.model.crs import (
    CRS84,
    CRS84H,
    WEB_MERCATOR,
    WGS84,
    AxisOrder,
    Srid,
    axis_order,
    crs_uri,
    digits_of,
    half_turn,
    known_crs,
    parse_crs,
)
from geosvc.model.offered_crs import listed_crs
from geosvc.model.reprojected_bbox import clip_to_domain, reproject_bbox
from tests.unit.samples import collection, geometry

LISTED = listed_crs(collection(geometry_column=geometry(srid=25832)), (Srid(3035),))


@pytest.mark.parametrize(
    ("code", "flipped"),
    [
        (4326, True),
        (4258, True),
        (4979, True),
        (4807, True),
        (3857, False),
        (25832, False),
        (3035, True),
        (2193, True),
        (31467, True),
        (27700, False),
        (3031, False),
        (3995, False),
        (3413, False),
        (5041, False),
        (32661, True),
        (32761, True),
        (2065, False),
        (5514, False),
        (2053, False),
        (7415, False),
        (2985, False),
    ],
)
def test_the_axes_are_swapped_where_proj_swaps_them(code: int, flipped: bool) -> None:
    crs = CRS.from_epsg(code)
    area = crs.area_of_use
    assert area is not None
    x, y = area.west + (area.east - area.west) * 0.37, area.south + (area.north - area.south) * 0.41
    try:
        inside = Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(x, y)
        outside = Transformer.from_crs("OGC:CRS84", crs).transform(x, y)
    except Exception as error:  # a reference system that nothing transforms into
        assert code == 2985, error
    else:
        assert (
            (inside[1], inside[0]) == pytest.approx(outside[:2])
            if flipped
            else inside == pytest.approx(outside[:2])
        )
    assert axis_order(Srid(code)) is (AxisOrder.NORTH_EAST if flipped else AxisOrder.EAST_NORTH)


@pytest.mark.parametrize("code", [0, 4978, 5773, 99999, 2**31, 99999999999])
def test_what_has_no_two_horizontal_axes_is_no_reference_system(code: int) -> None:
    assert known_crs(Srid(code)) is None


def test_a_collection_lists_the_default_first_and_nothing_twice() -> None:
    assert [crs.uri for crs in LISTED] == [
        CRS84.uri,
        crs_uri(Srid(25832)),
        crs_uri(WGS84),
        crs_uri(WEB_MERCATOR),
        crs_uri(Srid(3035)),
    ]


@given(
    st.text()
    | st.sampled_from(LISTED).map(lambda crs: crs.uri)
    | st.from_regex(r"\[EPSG:[0-9]{1,12}\]", fullmatch=True)
)
def test_every_text_is_one_of_the_listed_or_refused(text: str) -> None:
    try:
        crs = parse_crs(text, LISTED, "crs")
    except InvalidParameter as error:
        assert error.parameter == "crs"
        assert all(each.uri in error.detail for each in LISTED)
    else:
        assert crs in LISTED


@pytest.mark.parametrize("crs", LISTED)
def test_every_form_of_a_name_is_understood(crs: object) -> None:
    listed = next(each for each in LISTED if each is crs)
    forms = [listed.uri, listed.uri.replace("http:", "https:")]
    if listed is CRS84:
        forms += [
            "[OGC:CRS84]",
            "urn:ogc:def:crs:OGC:1.3:CRS84",
            "urn:ogc:def:crs:OGC::CRS84",
            "http://www.opengis.net/def/crs/OGC/0/CRS84",
        ]
    else:
        forms += [
            f"[EPSG:{listed.srid}]",
            f"urn:ogc:def:crs:EPSG::{listed.srid}",
            f"urn:ogc:def:crs:EPSG:9.9.1:{listed.srid}",
        ]
    assert [parse_crs(form, LISTED, "crs") for form in forms] == [listed] * len(forms)
    for form in forms:
        with pytest.raises(InvalidParameter):
            parse_crs(form, [CRS84H], "crs")


@pytest.mark.parametrize(
    ("code", "half", "digits"),
    [(4326, 180, 7), (4807, 200, 7), (25832, None, 4), (2263, None, 4), (0, 180, 7)],
)
def test_angles_have_a_circle_and_all_have_digits(
    code: int, half: float | None, digits: int
) -> None:
    assert half_turn(Srid(code)) == half
    assert digits_of(Srid(code)) == digits


@pytest.mark.parametrize(
    ("code", "text", "box"),
    [
        (4326, "45,5,52,12", Bbox(5, 45, 12, 52)),
        (4326, "-20,176,-15,-176", Bbox(176, -20, -176, -15)),
        (4326, "-20,176,1,-15,-176,2", Bbox(176, -20, -176, -15, 1, 2)),
        (4807, "45,190,52,-190", Bbox(190, 45, -190, 52, srid=Srid(4807))),
        (25832, "1,2,3,4", Bbox(1, 2, 3, 4, srid=Srid(25832))),
        (3035, "1,2,3,4", Bbox(2, 1, 4, 3, srid=Srid(3035))),
    ],
)
def test_a_box_is_read_in_the_order_of_its_axes(code: int, text: str, box: Bbox) -> None:
    crs = known_crs(Srid(code))
    assert crs is not None
    assert parse_bbox(text, crs) == box


@pytest.mark.parametrize(
    ("code", "text"),
    [(25832, "3,2,1,4"), (25832, "1,4,3,2"), (4326, "45,5,91,12"), (4807, "45,5,101,12")],
)
def test_a_box_that_cannot_be_is_refused(code: int, text: str) -> None:
    crs = known_crs(Srid(code))
    assert crs is not None
    with pytest.raises(InvalidParameter) as caught:
        parse_bbox(text, crs)
    assert caught.value.parameter == "bbox"


@given(*[st.floats(allow_nan=False, allow_infinity=False)] * 4)
def test_every_box_of_a_web_map_has_a_place_in_degrees(
    a: float, b: float, c: float, d: float
) -> None:
    box = Bbox(
        min(a, c), min(b, d), max(a, c), max(b, d), srid=WEB_MERCATOR
    ).web_mercator_to_degrees()
    for part in box.parts():
        assert -180 <= part.xmin <= part.xmax <= 180
        assert -90 <= part.ymin <= part.ymax <= 90


@given(st.floats(-180, 180), st.floats(-85, 85))
def test_degrees_and_web_mercator_turn_into_each_other(x: float, y: float) -> None:
    there = Bbox(x, y, x, y).degrees_to_web_mercator()
    expected = Transformer.from_crs(4326, 3857, always_xy=True).transform(x, y)
    assert (there.xmin, there.ymin) == pytest.approx(expected, abs=1e-6)
    back = there.web_mercator_to_degrees()
    assert (back.xmin, back.ymin) == pytest.approx((x, y), abs=1e-9)


@given(
    st.sampled_from([25832, 3035, 2193, 3031, 3995]),
    *[st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e7, 1e7)] * 4,
)
def test_every_box_settles_somewhere_or_is_refused(
    code: int, a: float, b: float, c: float, d: float
) -> None:
    box = Bbox(min(a, c), min(b, d), max(a, c), max(b, d), srid=Srid(code))
    try:
        found = clip_to_domain(box)
    except InvalidParameter as error:
        assert error.parameter == "bbox"
    else:
        assert box.xmin <= found.xmin <= found.xmax <= box.xmax
        assert box.ymin <= found.ymin <= found.ymax <= box.ymax
        assert reproject_bbox(found, WGS84) is not None


@given(
    st.floats(2e5, 8e5),
    st.floats(4.5e6, 6.5e6),
    st.floats(1, 3e5),
    st.floats(1, 3e5),
    st.sampled_from([4326, 3035, 3857, 3067]),
)
def test_what_is_surely_within_is_within_and_what_holds_the_box_holds_it(
    x: float, y: float, width: float, height: float, into: int
) -> None:
    box = Bbox(x, y, x + width, y + height, srid=Srid(25832))
    image = reproject_bbox(box, Srid(into))
    assert image is not None
    assert image.whole
    transformer = Transformer.from_crs(25832, into, always_xy=True)
    edge = shapely.segmentize(
        shapely.box(x, y, x + width, y + height).exterior, max(width, height) / 500
    )
    xs, ys = transformer.transform(*shapely.get_coordinates(edge).T)
    ring = shapely.Polygon(list(zip(xs, ys, strict=True)))
    assert shapely.box(*image.bounds[0]).contains(ring)
    assert image.inside is None or ring.contains(shapely.box(*image.inside))


def test_a_box_around_a_pole_is_not_enclosed_by_its_edges() -> None:
    image = reproject_bbox(Bbox(-1e6, -1e6, 1e6, 1e6, srid=Srid(3031)), WGS84)
    assert image is not None
    assert not image.whole
    ((west, south, east, north),) = image.bounds
    assert (west, south, east) == (-180, -90, 180)
    assert -77.1 < north < -76


def test_a_box_across_the_antimeridian_lies_on_both_sides() -> None:
    image = reproject_bbox(Bbox(-1e5, -2e6, 1e5, -1e6, srid=Srid(3031)), WGS84)
    assert image is not None
    assert [(round(w), round(e)) for w, _, e, _ in image.bounds] == [(174, 180), (-180, -174)]


def test_the_edges_of_a_box_are_cut_finely_enough() -> None:
    box = Bbox(3e5, 5.3e6, 3.2e5, 5.32e6, srid=Srid(25832))
    image = reproject_bbox(box, WGS84)
    assert image is not None
    transformer = Transformer.from_crs(25832, 4326, always_xy=True)
    start, middle, end = transformer.transform(
        [3e5, 3e5 + image.step / 2, 3e5 + image.step], [5.3e6] * 3
    )[1]
    assert abs(middle - (start + end) / 2) < 2e-8
    assert math.isfinite(image.step)

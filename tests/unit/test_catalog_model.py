"""From what the catalog query found to collections."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.catalog.collections import (
    Catalog,
    Override,
    ServedCollections,
    build_catalog,
    choose_temporal,
)
from geosvc.catalog.typmod import decode_typmod
from geosvc.errors import NotFound
from geosvc.model.collection import GeometryColumn, RelationKind
from geosvc.model.crs import UNKNOWN, WGS84, Srid
from tests.unit.samples import column

TYPES = [
    "GEOMETRY",
    "POINT",
    "LINESTRING",
    "POLYGON",
    "MULTIPOINT",
    "MULTILINESTRING",
    "MULTIPOLYGON",
    "GEOMETRYCOLLECTION",
    "CIRCULARSTRING",
    "COMPOUNDCURVE",
    "CURVEPOLYGON",
    "MULTICURVE",
    "MULTISURFACE",
    "POLYHEDRALSURFACE",
    "TRIANGLE",
    "TIN",
]


def typmod(kind: int, srid: int, has_z: bool = False, has_m: bool = False) -> int:
    """As PostGIS's gserialized_typmod.c makes it: TYPMOD_SET_SRID, _TYPE, _Z, _M."""
    return ((srid & 0x001FFFFF) << 8) | (kind << 2) | (has_z << 1) | has_m


def plain(
    name: str, type_name: str = "text", not_null: bool = False, **more: Any
) -> dict[str, Any]:
    """A column as the query describes it."""
    category = {"int4": "N", "date": "D", "timestamptz": "D"}.get(type_name, "S")
    described = {
        "name": name,
        "deterministic": True,
        "not_null": not_null,
        "type": type_name,
        "type_schema": "pg_catalog",
    }
    described |= {
        "type_name": type_name,
        "category": category,
        "type_oid": 1,
        "enum": None,
        "description": None,
    }
    described |= dict.fromkeys(("comparable", "ordered"), True)
    described |= dict.fromkeys(("may_default", "always_identity", "insertable", "updatable"), False)
    return {**described, "spatial": None, "typmod": -1, "domain_checks": None, **more}


def spatial(name: str = "geom", kind: int = 1, srid: int = 4326, **more: Any) -> dict[str, Any]:
    """A geometry column as the query describes it."""
    return plain(name, "geometry", **{"spatial": "geometry", "typmod": typmod(kind, srid), **more})


def relation(name: str, *columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A row of the query."""
    row: dict[str, Any] = {
        "schema": "public",
        "name": name,
        "kind": "r",
        "description": None,
        "columns": list(columns),
    }
    row |= dict.fromkeys(("insertable", "updatable", "deletable"), False)
    row |= {"checks_hidden": False, "checks": None, "references": None}
    return {
        **row,
        "keys": None,
        "parts": None,
        "rows": None,
        "pages": 0,
        "parameters": None,
        **more,
    }


def built(*rows: dict[str, Any], **served: Any) -> Catalog:
    return build_catalog(rows, ServedCollections(**served), "f")


SAME_IDS: tuple[tuple[tuple[tuple[str, str], ...], dict[str, str] | None], ...] = (
    (
        (("public", "gis.roads"), ("gis", "roads")),
        {"gis.roads": "gis.roads", "gis.roads.g": "roads"},
    ),
    ((("gis", "a.b"), ("gis.a", "b")), {"gis.a.b": "a.b", "gis.a.b.g": "b"}),
    ((("public", "r.g.g"), ("public", "gis.r.g"), ("gis", "r.g"), ("gis", "r")), None),
)


@pytest.mark.parametrize(("tables", "expected"), SAME_IDS)
def test_no_table_takes_the_place_of_another(
    tables: tuple[tuple[str, str], ...], expected: dict[str, str] | None
) -> None:
    rows = [relation(name, spatial("g"), schema=schema, called=name) for schema, name in tables]
    found = built(*rows, schemas=("public", "gis", "gis.a")).collections
    assert len(found) == len(tables)
    if expected is not None:
        assert {each.id: each.name for each in found.values()} == expected
    assert (
        built(*rows, schemas=("public", "gis", "gis.a"), exclude=("gis.*", "r.*")).collections == {}
    )


@given(st.integers(0, 15), st.integers(0, 999_999), st.booleans(), st.booleans(), st.booleans())
def test_a_type_modifier_says_type_srid_and_axes(
    kind: int, srid: int, has_z: bool, has_m: bool, not_null: bool
) -> None:
    found = decode_typmod("g", "geometry", typmod(kind, srid, has_z, has_m), not_null=not_null)
    assert found == GeometryColumn("g", TYPES[kind], Srid(srid), has_z, has_m, False, not_null)


@given(st.integers(0, 15), st.integers(1, 999_999))
def test_a_geography_has_the_srid_of_its_type_modifier(kind: int, srid: int) -> None:
    assert decode_typmod("g", "geography", typmod(kind, srid)).srid == srid


@pytest.mark.parametrize("number", [-1, typmod(0, 0), typmod(1, 0)])
def test_a_column_that_does_not_say_is_unknown_and_a_geography_wgs84(number: int) -> None:
    assert decode_typmod("g", "geometry", number).srid == UNKNOWN
    assert decode_typmod("g", "geography", number).srid == WGS84
    assert decode_typmod("g", "geography", number).geography


@given(st.integers(-(1 << 31), (1 << 31) - 1))
def test_no_type_modifier_breaks_the_catalog(number: int) -> None:
    found = decode_typmod("g", "geometry", number)
    assert found.type in TYPES
    assert found.srid >= 0


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ([], ()),
        ([("name", "text")], ()),
        ([("b", "date"), ("a", "timestamp")], ("b",)),
        ([("a", "date"), ("time", "timestamptz")], ("time",)),
        ([("date", "date"), ("datetime", "timestamptz")], ("datetime",)),
        ([("Timestamp", "timestamptz")], ("Timestamp",)),
        ([("a", "date"), ("start", "date"), ("end", "date")], ("start", "end")),
        (
            [("end_date", "date"), ("start_date", "date"), ("datetime", "date")],
            ("start_date", "end_date"),
        ),
        ([("VALID_FROM", "date"), ("valid_to", "date")], ("VALID_FROM", "valid_to")),
        ([("begin_time", "timestamp"), ("end_time", "timestamp")], ("begin_time", "end_time")),
        ([("start", "date"), ("end", "text")], ("start",)),
        ([("start", "text"), ("end", "text"), ("x", "date")], ("x",)),
        ([("start", "date"), ("end_date", "date")], ("start",)),
        ([("time", "time"), ("seen", "date")], ("seen",)),
    ],
)
def test_time_is_a_well_known_pair_then_a_well_known_name_then_the_first(
    columns: list[tuple[str, str]], chosen: tuple[str, ...]
) -> None:
    assert choose_temporal({name: column(name, type_name) for name, type_name in columns}) == chosen


def test_a_date_of_the_users_own_type_is_no_time() -> None:
    own = plain("date", "date", type_schema="mine")
    assert built(relation("t", own, spatial()))["t"].temporal == ()


def test_a_table_becomes_a_collection_with_everything_that_is_known_of_it() -> None:
    found = relation(
        "roads",
        plain("id", "int4", not_null=True),
        spatial("geom", 5, 3067, not_null=True),
        plain(
            "kind", "kind", type_schema="public", enum=["main", "side"], description="Kind of road"
        ),
        plain("seen", "date"),
        keys=[["id"]],
        rows=1000,
        pages=100,
        description="Roads",
    )
    roads = built(found)["roads"]
    assert (roads.id, roads.title, roads.description, roads.schema, roads.name) == (
        *("roads", "roads", "Roads"),
        *("public", "roads"),
    )
    assert roads.kind is RelationKind.TABLE
    assert roads.geometry == GeometryColumn("geom", "MULTILINESTRING", Srid(3067), not_null=True)
    assert [each.name for each in roads.columns] == ["id", "kind", "seen"]
    assert roads.by_name["kind"].enum == ("main", "side")
    assert roads.by_name["kind"].description == "Kind of road"
    assert roads.columns[0].not_null
    assert (roads.key, [each.type_name for each in roads.key_columns]) == (("id",), ["int4"])
    assert (roads.temporal, roads.rows, roads.row_bytes, roads.parameters) == (
        ("seen",),
        1000,
        819,
        None,
    )


@pytest.mark.parametrize(
    ("rows", "pages", "row_bytes"),
    [
        (None, 0, 256),
        (0, 10, 256),
        (10, 0, 256),
        (1, 10, 81_920),
        (1_000_000, 1, 64),
        (100, 10, 819),
    ],
)
def test_the_size_of_a_row_is_that_of_the_pages_or_a_guess(
    rows: int | None, pages: int, row_bytes: int
) -> None:
    assert built(relation("t", spatial(), rows=rows, pages=pages))["t"].row_bytes == row_bytes


@pytest.mark.parametrize(("letter", "kind"), [(each.value, each) for each in RelationKind])
def test_every_kind_of_relation_is_known(letter: str, kind: RelationKind) -> None:
    assert built(relation("t", spatial(), kind=letter))["t"].kind is kind


def test_ids_are_bare_in_the_first_schema_and_qualified_in_the_others() -> None:
    catalog = built(
        relation("t", spatial(), schema="b"),
        relation("t", spatial(), schema="a"),
        schemas=("a", "b"),
    )
    assert {each: catalog[each].schema for each in catalog.collections} == {"t": "a", "b.t": "b"}


def test_a_second_geometry_is_a_collection_of_its_own() -> None:
    catalog = built(
        relation("t", plain("id", "int4"), spatial("geom"), spatial("centre"), schema="s"),
        schemas=("a", "s"),
    )
    assert {each: catalog[each].geometry.name for each in catalog.collections} == {
        "s.t": "geom",
        "s.t.centre": "centre",
    }
    for each in catalog.collections.values():
        assert [property_.name for property_ in each.columns] == ["id"]


def test_a_function_has_a_bare_id_and_its_parameters() -> None:
    typed = {"type": "integer", "type_schema": "pg_catalog", "type_name": "int4", "category": "N"}
    given_ = [
        {"name": "near", **typed, "enum": None, "required": True},
        {"name": "how", **typed, "enum": ["a", "b"], "required": False},
    ]
    found = built(
        relation("f", spatial(), schema="geosvc_functions", kind="function", parameters=given_)
    )["f"]
    assert found.parameters is not None
    assert [(each.name, each.required, each.enum) for each in found.parameters] == [
        ("near", True, None),
        ("how", False, ("a", "b")),
    ]
    assert not found.has_row_address


def test_a_function_without_parameters_is_still_a_function() -> None:
    assert (
        built(relation("f", spatial(), schema="geosvc_functions", kind="function", parameters=[]))[
            "f"
        ].parameters
        == ()
    )


def test_of_two_with_one_id_the_first_schema_wins_whatever_the_order_of_the_rows() -> None:
    rows = [
        relation("t", spatial(), schema="geosvc_functions", kind="function", parameters=[]),
        relation("t", spatial(), schema="public"),
    ]
    for order in (rows, rows[::-1]):
        assert built(*order)["t"].schema == "public"


def test_a_relation_without_a_geometry_is_none() -> None:
    assert not built(relation("t", plain("a"))).collections


@pytest.mark.parametrize(
    ("tables", "exclude", "published"),
    [
        ((), (), {"roads", "rivers", "roads_old", "s.roads"}),
        (("roads",), (), {"roads"}),
        (("r*",), (), {"roads", "rivers", "roads_old"}),
        (("s.*", "rivers"), (), {"s.roads", "rivers"}),
        ((), ("*_old",), {"roads", "rivers", "s.roads"}),
        (("roads*",), ("*_old",), {"roads"}),
        (("Roads",), (), set()),
        (("r?vers", "roads_[a-z]*"), (), {"rivers", "roads_old"}),
        (("roads",), ("roads",), set()),
    ],
)
def test_patterns_choose_and_leave_out(
    tables: tuple[str, ...], exclude: tuple[str, ...], published: set[str]
) -> None:
    rows = [relation(name, spatial()) for name in ("roads", "rivers", "roads_old")]
    catalog = built(
        *rows,
        relation("roads", spatial(), schema="s"),
        schemas=("public", "s"),
        tables=tables,
        exclude=exclude,
    )
    assert set(catalog.collections) == published


def test_settings_say_what_the_catalog_cannot_know() -> None:
    view = relation(
        "v", plain("a", "int4"), plain("b"), plain("seen", "date"), spatial(srid=0), kind="v"
    )
    override = Override(key=("a", "b"), datetime=("seen",), srid=3067, title="A view")
    found = built(view, overrides={"v": override})["v"]
    assert (found.key, found.temporal, found.title) == (("a", "b"), ("seen",), "A view")
    assert found.geometry == GeometryColumn("geom", "POINT", Srid(3067))


def test_settings_do_not_contradict_the_srid_of_the_column() -> None:
    assert (
        built(relation("t", spatial(srid=3067)), overrides={"t": Override(srid=4326)})[
            "t"
        ].geometry.srid
        == 3067
    )


def test_settings_of_one_collection_leave_the_others_alone() -> None:
    rows = (relation("a", plain("id", "int4"), spatial(), keys=[["id"]]), relation("b", spatial()))
    catalog = built(*rows, overrides={"b": Override(title="B")})
    assert (catalog["a"].title, catalog["a"].key, catalog["b"].title) == ("a", ("id",), "B")


@pytest.mark.parametrize(
    "override", [Override(key=("gone",)), Override(key=("geom",)), Override(key=("id", "gone"))]
)
def test_a_key_that_is_no_property_is_no_key(override: Override) -> None:
    assert (
        built(relation("t", plain("id", "int4"), spatial()), overrides={"t": override})["t"].key
        == ()
    )


@pytest.mark.parametrize("names", [("gone",), ("id",), ("seen", "id")])
def test_a_time_that_is_none_is_not_filtered_by(names: tuple[str, ...]) -> None:
    row = relation("t", plain("id", "int4"), plain("seen", "date"), spatial())
    assert built(row, overrides={"t": Override(datetime=names)})["t"].temporal == ()


def test_collections_come_in_the_order_of_their_ids() -> None:
    catalog = built(relation("b", spatial()), relation("c", spatial()), relation("a", spatial()))
    assert list(catalog.collections) == ["a", "b", "c"]
    assert build_catalog((), ServedCollections(), "finger", "ext") == Catalog({}, "finger", "ext")


def test_a_collection_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound, match="'x'"):
        built()["x"]

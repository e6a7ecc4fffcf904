"""The conditions that EXPLAIN prints, as trees."""

import pytest

from geosvc.advice.plan_conditions import AllOf, AnyOf, Condition, ConditionParser, Leaf, canonical

BOX = "(t.geom && '0103'::geometry)"


def describe(condition: Condition) -> object:
    """A tree in short."""
    match condition:
        case Leaf(kind, expression):
            return f"{kind} {expression.text}"
        case AllOf(parts):
            return ["and", *map(describe, parts)]
        case AnyOf(parts):
            return ["or", *map(describe, parts)]
    return None


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        (BOX, 'spatial "geom"'),
        ("('0103'::geometry && t.geom)", 'spatial "geom"'),
        ('(t."Geo ""m" @ $3)', 'spatial "Geo ""m"'),
        ("st_intersects(t.geom, '01'::geometry)", 'spatial "geom"'),
        ("gis.st_dwithin(t.geom, '01'::geometry, '5'::double precision)", 'spatial "geom"'),
        ("st_intersects(st_buffer(t.geom, '5'::double precision), '01'::geometry)", None),
        ("(NOT st_intersects(t.geom, '01'::geometry))", None),
        ("(t.geom && o.geom)", 'spatial "geom"'),  # for each row of another relation
        ("(t.geom && t.other)", None),
        ("(o.geom && '01'::geometry)", None),
        ("(st_transform(t.geom, 4326) && '01'::geometry)", 'spatial gis_ST_Transform("geom", 4326)'),
        ("((t.geog)::geometry && '01'::geometry)", 'spatial ("geog")::gis_geometry'),
        ("(t.name = 'a && (b'::text)", 'equal "name"'),
        ("((t.name)::text = 'x'::text)", 'equal "name"'),
        ("(t.hue = ('h3'::cstring)::hue)", 'equal "hue"'),
        ("(t.id = '-1'::integer)", 'equal "id"'),
        ("((t.id)::numeric = '1'::numeric)", None),
        ("(lower(t.name) = 'x'::text)", None),
        ("(t.name = lower('X'::text))", None),
        ("(t.name = 'x'::text COLLATE \"C\")", None),
        ("(t.name = t.other)", None),
        ("(t.name <> 'x'::text)", None),
        ("(t.name ~ 'x'::text)", 'spatial "name"'),  # the type of the column tells that it is not
        ("(t.geom IS NULL)", 'null "geom"'),
        ("(t.geom IS NOT NULL)", None),
        (f"({BOX} AND (t.kind = 3))", ["and", 'spatial "geom"', 'equal "kind"']),
        (f"({BOX} OR (t.kind = 3) OR t.flag)", ["or", 'spatial "geom"', 'equal "kind"', None]),
        (f"({BOX} AND CASE WHEN (t.kind = 3) AND (t.a = 1) THEN true ELSE t.b END)", ["and", 'spatial "geom"', None]),
        (f"(({BOX} AND st_dwithin(t.geom, '01'::geometry, '0'::double precision)) OR (t.geom IS NULL))",
         ["or", ["and", 'spatial "geom"', 'spatial "geom"'], 'null "geom"']),
        ("", None),
        ("(((", None),
    ],
)  # fmt: skip
def test_a_condition_is_read_as_what_an_index_could_find_of_it(text: str, tree: object) -> None:
    def spell(each: object) -> object:
        return (
            [spell(part) for part in each]
            if isinstance(each, list)
            else each and str(each).replace('"gis".', "gis_")
        )

    assert spell(describe(ConditionParser("t", "gis").parse(text))) == tree


def test_spellings_of_an_expression_are_the_same() -> None:
    spellings = (
        '(gis.ST_Transform("geom", 4326))::geometry(Point,4326)',
        "st_transform(geom, 4326)::gis.geometry(Point, 4326)",
        '((st_transform("geom", 4326))::geometry(Point,4326))',
    )
    assert len(set(map(canonical, spellings))) == 1

"""Plans as EXPLAIN (FORMAT JSON, VERBOSE) prints them: without what is the service's own, and
without values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.advice.plan import (
    Node,
    functions_of,
    parameters_of,
    parse_plan,
    relations_of,
)
from geosvc.advice.plan_text import write_plan

Explained = dict[str, Any]


@dataclass(frozen=True)
class Spelling:
    """How a release of PostgreSQL names what an InitPlan answers."""

    subplan: str
    answer: str

    def name(self, number: int) -> str:
        """What EXPLAIN calls the InitPlan."""
        return self.subplan.format(number)

    def of(self, number: int) -> str:
        """What stands for its answer in a condition."""
        return self.answer.format(number)


PG15 = Spelling("InitPlan {0} (returns ${0})", "${0}")
PG17 = Spelling("InitPlan {0}", "(InitPlan {0}).col1")
PG19 = Spelling("InitPlan expr_{0}", "(InitPlan expr_{0}).col1")
SPELLINGS = pytest.mark.parametrize("spelling", [PG15, PG17], ids=["15", "17 and 18"])

BOX = "'0103000020E610000001000000050000000000000000001440'::geometry"
IN_BOX = (
    f"((t.geom && {BOX}) AND st_dwithin(t.geom, {BOX}, '0'::double precision)) OR (t.geom IS NULL)"
)
FEATURE = (
    "convert_to(((('{\"type\":\"Feature\",'::text || COALESCE((('\"id\":'::text || (t.id)::text) || ','::text), ''::text)) || "
    "COALESCE(st_asgeojson(t.geom, 7, 0), 'null'::text)) || (SubPlan 1)), 'UTF8'::name)"
)


def step(
    kind: str, *plans: Explained, to: str = "Outer", cost: float = 8.5, rows: int = 1, **more: Any
) -> Explained:
    """A node as EXPLAIN prints it; underscores in names stand for spaces."""
    found: Explained = {
        "Node Type": kind,
        "Parent Relationship": to,
        "Parallel Aware": False,
        "Async Capable": False,
        "Startup Cost": 0.28,
        "Total Cost": cost,
        "Plan Rows": rows,
        "Plan Width": 45,
        "Disabled": False,
        **{name.replace("_", " "): value for name, value in more.items()},
    }
    return found | ({"Plans": list(plans)} if plans else {})


def scan(
    kind: str = "Seq Scan", *plans: Explained, name: str = "places", alias: str = "t", **more: Any
) -> Explained:
    """A scan of a table in the schema public."""
    given: dict[str, Any] = {"Relation_Name": name, "Schema": "public", "Alias": alias, **more}
    return step(
        kind, *plans, **{"Output": [f"{alias}.id", f"{alias}.name", f"{alias}.geom"], **given}
    )


def tag(spelling: Spelling, number: int = 2) -> Explained:
    """What tells the server the id of the request."""
    output = ["set_config('application_name'::text, 'e6b1-request'::text, true)"]
    return step(
        "Result", to="InitPlan", cost=0.01, Subplan_Name=spelling.name(number), Output=output
    )


def properties() -> Explained:
    """The members of a feature, which read no table of their own."""
    output = ["(row_to_json(ROW(t.id, t.name)))::text"]
    return step("Result", to="SubPlan", cost=0.02, Subplan_Name="SubPlan 1", Output=output)


def is_tagged(spelling: Spelling, number: int = 2) -> str:
    """The condition that asks for the tag."""
    return f"({spelling.of(number)} IS NOT NULL)"


def gated(condition: str, *plans: Explained, **more: Any) -> Explained:
    """A node that asks for a condition before it begins."""
    return step("Result", *plans, **{"cost": 146126.79, "rows": 5000, **more}) | {
        "One-Time Filter": condition
    }


def page(spelling: Spelling) -> Explained:
    """`/collections/places/items?bbox=5,45,12,52`."""
    index: dict[str, Any] = {"Index_Name": "places_geom_idx", "to": "Member"}
    in_box = f"((t.geom && {BOX}) AND (t.geom && st_expand({BOX}, '0'::float8)))"
    box_or_null = step(
        "BitmapOr",
        step("Bitmap Index Scan", cost=4.28, Index_Cond=in_box, **index),
        step("Bitmap Index Scan", cost=4.16, Index_Cond="(t.geom IS NULL)", **index),
        cost=8.44,
    )
    heap = scan(
        "Bitmap Heap Scan",
        box_or_null,
        cost=37.45,
        Recheck_Cond=f"({IN_BOX})",
        Filter=f"({IN_BOX})",
    )
    gate = gated(is_tagged(spelling), heap, cost=37.46, rows=1, Output=["t.id", "t.geom", "t.name"])
    sort = step("Sort", gate, cost=37.47, Sort_Key=["t.id"], Output=["t.id", "t.geom", "t.name"])
    features = step(
        "Result", sort, properties(), cost=66.67, Output=[FEATURE, "((t.id)::text)", "t.id"]
    )
    return step(
        "Limit",
        tag(spelling),
        features,
        cost=66.68,
        rows=11,
        Output=[f"({FEATURE})", "((t.id)::text)", "t.id"],
    )


def export(spelling: Spelling) -> Explained:
    """`/collections/places/export`: the node that asks for the tag is also the one that writes
    features.
    """
    places = scan(
        "Index Scan", cost=189.28, rows=5000, Index_Name="places_pkey", Scan_Direction="Forward"
    )
    return gated(
        is_tagged(spelling),
        tag(spelling),
        places,
        properties(),
        Output=[FEATURE, "(t.id)::text", "t.id"],
    )


def kinds(node: Node) -> list[str]:
    """What a plan does, from the top."""
    return [each.kind for each in node.walk()]


SHOWN_BOX = "((t.geom && '…'::geometry) AND st_dwithin(t.geom, '…'::geometry, '…'::double precision)) OR (t.geom IS NULL)"
PAGE_LINES = f"""\
Limit  (cost=66.68 rows=11)
  -> Sort  (cost=37.47 rows=1)
       Sort Key: t.id
    -> Bitmap Heap Scan on public.places  (cost=37.45 rows=1)
         Recheck Cond: ({SHOWN_BOX})
         Filter: ({SHOWN_BOX})
      -> BitmapOr  (cost=8.44 rows=1)
        -> Bitmap Index Scan using places_geom_idx  (cost=4.28 rows=1)
             Index Cond: ((t.geom && '…'::geometry) AND (t.geom && st_expand('…'::geometry, '…'::float8)))
        -> Bitmap Index Scan using places_geom_idx  (cost=4.16 rows=1)
             Index Cond: (t.geom IS NULL)"""


@SPELLINGS
def test_a_plan_is_written_without_the_request_and_without_values(spelling: Spelling) -> None:
    assert "\n".join(write_plan(parse_plan(page(spelling)))) == PAGE_LINES


@SPELLINGS
def test_the_nodes_of_the_tag_vanish(spelling: Spelling) -> None:
    node = parse_plan(page(spelling))
    assert kinds(node) == [
        "Limit", "Sort", "Bitmap Heap Scan", "BitmapOr", "Bitmap Index Scan", "Bitmap Index Scan", "Result",
    ]  # fmt: skip
    assert not any("One-Time Filter" in each.conditions for each in node.walk())
    assert not any("set_config" in text for text in node.expressions())
    assert not any(each.returns for each in node.walk())


@SPELLINGS
def test_the_scan_below_the_tag_takes_the_place_of_the_node_that_asks_for_it(
    spelling: Spelling,
) -> None:
    top = parse_plan(export(spelling))
    node = next(top.walk())
    assert (node.kind, node.relation, node.index, node.rows) == (
        "Index Scan",
        ("public", "places"),
        "places_pkey",
        5000,
    )
    assert kinds(top) == ["Index Scan", "Result"]  # and the members of features
    assert write_plan(top) == [
        "Index Scan using places_pkey on public.places  (cost=189.28 rows=5000)"
    ]


@SPELLINGS
def test_a_count_is_told_without_the_tag(spelling: Spelling) -> None:
    counted = step(
        "Aggregate",
        tag(spelling, 1),
        gated(is_tagged(spelling, 1), scan()),
        Strategy="Plain",
        Output=["count(*)"],
    )
    node = parse_plan(counted)
    assert kinds(node) == ["Aggregate", "Seq Scan"]
    assert functions_of(node) == ["count"]


@SPELLINGS
def test_a_plan_of_a_plan_is_parsed_to_its_leaves(spelling: Spelling) -> None:
    node = parse_plan(page(spelling))
    heap = next(each for each in node.walk() if each.kind == "Bitmap Heap Scan")
    assert heap == Node(
        kind="Bitmap Heap Scan",
        relation=("public", "places"),
        alias="t",
        index=None,
        rows=1.0,
        width=45,
        cost=37.45,
        conditions={"Recheck Cond": f"({IN_BOX})", "Filter": f"({IN_BOX})"},
        output=("t.id", "t.name", "t.geom"),
        returns=frozenset(),
        children=heap.children,
    )
    assert [each.index for each in heap.walk()] == [
        None,
        None,
        "places_geom_idx",
        "places_geom_idx",
    ]


def test_a_plan_that_says_next_to_nothing_is_parsed() -> None:
    node = parse_plan({"Node Type": "Result"})
    assert node == Node("Result", None, "", None, 0.0, 0, 0.0, {}, (), frozenset(), ())
    assert write_plan(node) == ["Result  (cost=0.00 rows=0)"]
    assert (relations_of(node), functions_of(node), parameters_of(node)) == ([], [], set())


@pytest.mark.parametrize(
    "condition",
    [
        "false",
        "(current_setting('app.on'::text) = 'yes'::text)",
        "($2 IS NULL)",
        "((InitPlan 2).col1 IS NULL)",
        "(NOT ($2 IS NOT NULL))",
    ],
)
def test_a_node_that_asks_for_something_else_stays(condition: str) -> None:
    node = parse_plan(gated(condition, scan()))
    assert kinds(node) == ["Result", "Seq Scan"]
    assert node.conditions == {"One-Time Filter": condition}


@SPELLINGS
def test_a_join_that_asks_for_the_tag_stays_as_a_join(spelling: Spelling) -> None:
    join = step("Nested Loop", scan(), scan(name="roads", alias="r")) | {
        "One-Time Filter": is_tagged(spelling)
    }
    node = parse_plan(step("Limit", tag(spelling), join))
    assert kinds(node) == ["Limit", "Nested Loop", "Seq Scan", "Seq Scan"]
    assert node.children[0].conditions == {}


@SPELLINGS
def test_an_initplan_that_is_not_the_tag_stays(spelling: Spelling) -> None:
    most = step(
        "Aggregate",
        scan(name="roads"),
        to="InitPlan",
        Subplan_Name=spelling.name(3),
        Output=["max(id)"],
    )
    own = step(
        "Result",
        to="InitPlan",
        Subplan_Name=spelling.name(4),
        Output=["set_config('app.seen'::text, 'x'::text, true)"],
    )
    node = parse_plan(
        step("Limit", most, own, tag(spelling), scan(Filter=f"(t.id = {spelling.of(3)})"))
    )
    assert kinds(node) == ["Limit", "Aggregate", "Seq Scan", "Result", "Seq Scan"]
    assert relations_of(node) == [("public", "roads"), ("public", "places")]
    assert functions_of(node) == ["max", "set_config"]
    assert parameters_of(node) == set()


def test_a_node_of_the_tags_form_that_is_no_initplan_stays() -> None:
    output = ["set_config('application_name'::text, 'mine'::text, true)"]
    assert functions_of(parse_plan(step("Limit", step("Result", Output=output)))) == ["set_config"]


@pytest.mark.parametrize(
    ("name", "returns"),
    [
        ("InitPlan 1 (returns $0)", {"$0"}),
        ("InitPlan 2 (returns $1,$2,$13)", {"$1", "$2", "$13"}),
        ("InitPlan 1", set()),
        ("SubPlan 1", set()),
        ("CTE recent", set()),
    ],
)
def test_an_initplan_says_which_parameters_it_answers(name: str, returns: set[str]) -> None:
    assert parse_plan(step("Result", Subplan_Name=name)).returns == returns


CONDITIONS = (
    "Function Call", "Index Cond", "Recheck Cond", "TID Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter",
    "One-Time Filter", "Sort Key", "Presorted Key", "Group Key", "Order By",
)  # fmt: skip


@given(st.sampled_from(CONDITIONS), st.text(min_size=1, max_size=20))
def test_no_value_of_any_condition_is_written(name: str, secret: str) -> None:
    quoted = "'" + secret.replace("'", "''") + "'"
    condition = f"((t.name)::text = {quoted}::text) AND (t.id > 424242)"
    given_as = [condition] if name.endswith("Key") else condition
    node = parse_plan(scan() | {name: given_as})
    assert write_plan(node)[1:] == [f"     {name}: ((t.name)::text = '…'::text) AND (t.id > …)"]
    assert node.conditions == {name: condition}  # for advice, as it was


def test_conditions_are_written_in_one_order_and_lists_in_theirs() -> None:
    node = parse_plan(
        scan()
        | {
            name: ["t.b DESC", "t.a"] if name.endswith("Key") else "(a)"
            for name in reversed(CONDITIONS)
        }
    )
    assert [line.strip().partition(": ") for line in write_plan(node)[1:]] == [
        (name, ": ", "t.b DESC, t.a" if name.endswith("Key") else "(a)") for name in CONDITIONS
    ]


@pytest.mark.parametrize("excess", [0, 1, 5_000])
def test_a_long_condition_is_cut(excess: int) -> None:
    condition = f"(t.{'a' * (296 + excess)})"[: 300 + excess]
    (line,) = write_plan(parse_plan(scan(Filter=condition)))[1:]
    shown = line.removeprefix("     Filter: ")
    assert shown == condition if not excess else shown == f"{condition[:300]}…"


@pytest.mark.parametrize("before", range(285, 301))
def test_a_condition_is_redacted_before_it_is_cut(before: int) -> None:
    condition = f"{'a' * before} = 'secret'::text"
    assert "s" not in write_plan(parse_plan(scan(Filter=condition)))[1].removeprefix(
        "     Filter: "
    ).replace("::tex", "")


def test_the_output_of_a_node_is_not_written() -> None:
    assert write_plan(parse_plan(scan(Output=["f('secret')"]))) == [
        "Seq Scan on public.places  (cost=8.50 rows=1)"
    ]


def test_an_srid_and_the_names_of_things_are_written() -> None:
    condition = "(st_transform(t.geom, 3857) && '01'::geometry) AND (t.\"it's 5\" > 5)"
    (line,) = write_plan(parse_plan(scan(Filter=condition)))[1:]
    assert (
        line == "     Filter: (st_transform(t.geom, 3857) && '…'::geometry) AND (t.\"it's 5\" > …)"
    )


def test_costs_and_rows_are_rounded_and_a_relation_without_a_schema_has_its_name() -> None:
    node = parse_plan(
        {
            "Node Type": "Foreign Scan",
            "Relation Name": "far",
            "Total Cost": 1234567.891,
            "Plan Rows": 10_000_000,
        }
    )
    assert write_plan(node) == ["Foreign Scan on far  (cost=1234567.89 rows=10000000)"]
    assert relations_of(node) == [("", "far")]


def test_relations_are_told_once_in_the_order_of_the_plan() -> None:
    partitions = [
        scan(name="parted_2", alias="t_2"),
        scan(name="parted_1", alias="t_1"),
        scan(name="parted_2", alias="u"),
    ]
    cte = step("CTE Scan", CTE_Name="recent", Alias="recent")
    called = step(
        "Function Scan",
        Function_Name="around",
        Schema="public",
        Alias="t",
        Function_Call="around('5'::integer)",
    )
    other = scan(name="parted_1") | {"Schema": "Other"}
    node = parse_plan(step("Append", *partitions, cte, called, other))
    assert relations_of(node) == [
        ("public", "parted_2"),
        ("public", "parted_1"),
        ("Other", "parted_1"),
    ]
    assert functions_of(node) == ["around"]


@SPELLINGS
def test_functions_are_those_of_conditions_and_of_output(spelling: Spelling) -> None:
    called = ["convert_to", "row_to_json", "st_asgeojson", "st_dwithin", "st_expand"]
    assert functions_of(parse_plan(page(spelling))) == called


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("public.mine(t.geom)", ["mine"]),
        ("(a(b(c(t.x)), 'd('::text) > e1_f(5))", ["a", "b", "c", "e1_f"]),
        ("(t.name = 'secret(x)'::text)", []),
        ("(t.id = ANY ('{1,2}'::integer[]))", []),
        ("((t.a AND (t.b)) OR (NOT (t.c)))", []),
        ("CASE WHEN (t.a) THEN (t.b) ELSE f(t.c) END", ["f"]),
        ("COALESCE(t.a, GREATEST(t.b, g(t.c)))", ["g"]),
        ("count(*) FILTER (WHERE (t.a))", ["count"]),
        ("row_number() OVER (?)", ["row_number"]),
    ],
)
def test_what_a_plan_calls_is_a_function(text: str, names: list[str]) -> None:
    assert functions_of(parse_plan(scan(Filter=text))) == names
    assert functions_of(parse_plan(scan(Output=[text]))) == names


@SPELLINGS
def test_a_plan_for_particular_values_has_no_parameters(spelling: Spelling) -> None:
    assert parameters_of(parse_plan(page(spelling))) == set()
    assert parameters_of(parse_plan(export(spelling))) == set()


@SPELLINGS
def test_a_generic_plan_has_the_parameters_of_the_statement(spelling: Spelling) -> None:
    box = "st_makeenvelope($3, $4, $5, $6, 4326)"
    index = step("Bitmap Index Scan", Index_Name="places_geom_idx", Index_Cond=f"(t.geom && {box})")
    heap = scan(
        "Bitmap Heap Scan",
        index,
        Recheck_Cond=f"(t.geom && {box})",
        Filter="(t.name = ($12)::text)",
    )
    node = parse_plan(step("Limit", tag(spelling, 14), gated(is_tagged(spelling, 14), heap)))
    assert parameters_of(node) == {"$3", "$4", "$5", "$6", "$12"}


def test_what_an_initplan_answers_is_no_parameter_of_the_statement() -> None:
    most = step(
        "Aggregate",
        scan(name="roads"),
        to="InitPlan",
        Subplan_Name="InitPlan 1 (returns $0,$1)",
        Output=["max(id)"],
    )
    node = parse_plan(
        step(
            "Limit",
            most,
            scan(Filter="((t.id = $0) AND (t.n = $1) AND (t.name = $2) AND (t.x = '$3'))"),
        )
    )
    assert parameters_of(node) == {"$2"}


def test_a_node_that_only_writes_what_another_reads_is_not_told() -> None:
    node = parse_plan(
        step("Limit", step("Result", scan(Filter="(t.id > 5)"), properties(), Output=["f(t.id)"]))
    )
    assert kinds(node) == ["Limit", "Seq Scan", "Result"]
    assert write_plan(node)[1:] == [
        "  -> Seq Scan on public.places  (cost=8.50 rows=1)",
        "       Filter: (t.id > …)",
    ]


def test_a_subplan_is_written_if_it_reads_something() -> None:
    reads = step(
        "Aggregate", scan(name="roads", alias="r"), to="SubPlan", Subplan_Name="SubPlan 2", cost=9.0
    )
    node = parse_plan(scan("Seq Scan", properties(), reads))
    assert write_plan(node) == [
        "Seq Scan on public.places  (cost=8.50 rows=1)",
        "  -> Aggregate  (cost=9.00 rows=1)",
        "    -> Seq Scan on public.roads  (cost=8.50 rows=1)",
    ]
    assert [each.is_subplan for each in node.walk()] == [False, True, True, False]


def test_a_filter_is_told_with_what_its_subplans_compute() -> None:
    inner = step(
        "Function Scan",
        to="SubPlan",
        Subplan_Name="SubPlan 1",
        Filter="(g.x && t.geom)",
        Output=["f(g.x)"],
    )
    node = parse_plan(scan("Seq Scan", inner, Filter="(SubPlan 1)"))
    assert node.filter == "(SubPlan 1) (g.x && t.geom) f(g.x)"
    assert (
        parse_plan(step("Subquery Scan", scan(Filter="(t.id > 5)"), Filter="(s.a = 1)")).filter
        == "(s.a = 1)"
    )


def test_without_a_filter_there_is_none_whatever_is_below() -> None:
    inner = step("Function Scan", to="SubPlan", Subplan_Name="SubPlan 1", Filter="(g.x && t.geom)")
    assert parse_plan(scan("Seq Scan", inner, Recheck_Cond="(t.id > 5)")).filter == ""
    assert parse_plan(step("Append", scan(Filter="(t.id > 5)"))).filter == ""


def test_what_an_index_finds_is_told_of_the_scan() -> None:
    index = step("Bitmap Index Scan", Index_Name="i", Index_Cond="(t.a > 1)")
    both = step(
        "BitmapAnd", index, step("Bitmap Index Scan", Index_Name="j", Index_Cond="(t.b > 2)")
    )
    heap = parse_plan(scan("Bitmap Heap Scan", both, Filter="(t.c > 3)", Recheck_Cond="(t.d > 4)"))
    assert " ".join(heap.index_conditions.split()) == "(t.a > 1) (t.b > 2)"
    assert (
        parse_plan(scan("Index Scan", Index_Name="i", Index_Cond="(t.a > 1)")).index_conditions
        == "(t.a > 1)"
    )
    assert parse_plan(scan(Filter="(t.c > 3)")).index_conditions == ""
    join = step("Nested Loop", scan(), scan("Index Scan", Index_Cond="(t.a > 1)"))
    assert parse_plan(join).index_conditions == ""


@SPELLINGS
def test_what_is_written_of_a_row_is_not_what_a_scan_compares(spelling: Spelling) -> None:
    written = step(
        "Result", to="SubPlan", Subplan_Name="SubPlan 1", Output=["st_asgeojson(v.g @ t.geom)"]
    )
    features = gated(
        is_tagged(spelling), scan(Filter="(t.name = 'x'::text)"), written, Output=[FEATURE]
    )
    node = parse_plan(step("Limit", tag(spelling), features))
    assert next(each for each in node.walk() if each.relation).filter == "(t.name = 'x'::text)"


def test_a_subplan_stays_one_where_its_first_node_vanishes() -> None:
    inner = step(
        "Result",
        scan(name="roads", alias="r", Filter="(r.geom && t.geom)"),
        to="SubPlan",
        Subplan_Name="SubPlan 1",
    )
    node = parse_plan(scan("Seq Scan", inner, Filter="(SubPlan 1)"))
    assert [each.is_subplan for each in node.children] == [True]
    assert "(r.geom && t.geom)" in node.filter


OWN_CONDITION = "(current_setting('app.tenant'::text, true) IS DISTINCT FROM 'x'::text)"


def tenant(spelling: Spelling) -> Explained:
    """A page of `CREATE VIEW … WHERE current_setting('app.tenant', true) IS DISTINCT FROM 'x'`, as
    PostgreSQL 15 plans it.
    """
    condition = f"({OWN_CONDITION} AND {is_tagged(spelling)})"
    return step("Limit", tag(spelling), gated(condition, scan(), properties(), Output=[FEATURE]))


def has_any(spelling: Spelling) -> Explained:
    """A page of `CREATE VIEW … WHERE (SELECT max(id) FROM roads) IS NOT NULL`."""
    own = step(
        "Aggregate",
        scan(name="roads"),
        to="InitPlan",
        Subplan_Name=spelling.name(1),
        Output=["max(roads.id)"],
    )
    condition = f"({is_tagged(spelling, 1)} AND {is_tagged(spelling)})"
    return step(
        "Limit", own, tag(spelling), gated(condition, scan(), properties(), Output=[FEATURE])
    )


@pytest.mark.parametrize("view", [tenant, has_any])
def test_the_node_of_a_views_own_condition_stays(view: Callable[[Spelling], Explained]) -> None:
    node = parse_plan(view(PG17))
    assert parameters_of(node) == set()
    assert (
        "One-Time Filter" in next(each for each in node.walk() if each.kind == "Result").conditions
    )


@pytest.mark.parametrize("view", [tenant, has_any])
def test_the_tag_is_no_parameter_beside_a_views_own_condition(
    view: Callable[[Spelling], Explained],
) -> None:
    assert parameters_of(parse_plan(view(PG15))) == set()


@SPELLINGS
def test_the_tag_vanishes_beside_a_views_own_condition(spelling: Spelling) -> None:
    condition = next(
        each.conditions for each in parse_plan(tenant(spelling)).walk() if each.kind == "Result"
    )
    assert spelling.of(2) not in condition["One-Time Filter"]


@SPELLINGS
def test_the_functions_of_an_export_are_those_that_write_features_too(spelling: Spelling) -> None:
    assert functions_of(parse_plan(export(spelling))) == [
        "convert_to",
        "row_to_json",
        "st_asgeojson",
    ]


@SPELLINGS
def test_a_condition_of_the_tags_form_stays_in_a_plan_without_a_tag(spelling: Spelling) -> None:
    own = step(
        "Aggregate",
        scan(name="roads"),
        to="InitPlan",
        Subplan_Name=spelling.name(1),
        Output=["max(roads.id)"],
    )
    node = parse_plan(gated(is_tagged(spelling, 1), own, scan()))
    assert node.conditions == {"One-Time Filter": is_tagged(spelling, 1)}


def test_the_tag_vanishes_in_the_spelling_of_postgresql_19() -> None:
    assert "\n".join(write_plan(parse_plan(page(PG19)))) == PAGE_LINES


@pytest.mark.parametrize("name", ["Slow", "größe", "with space"])
def test_a_function_whose_name_is_quoted_is_found(name: str) -> None:
    assert functions_of(parse_plan(scan(Filter=f'(public."{name}"(t.id) > 5)'))) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "((t.geom)::geometry(Point,4326))",
        "((t.a)::numeric(10,2))",
        "((t.a)::character varying(20))",
    ],
)
def test_a_type_is_no_function(text: str) -> None:
    assert functions_of(parse_plan(scan(Output=[text]))) == []


def test_a_name_in_quotes_is_neither_a_parameter_nor_a_function() -> None:
    node = parse_plan(scan(Filter='((t."price in $1" > 5) AND (t."of(x)" > 5))'))
    assert (parameters_of(node), functions_of(node)) == (set(), [])

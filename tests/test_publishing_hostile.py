"""Publishing among hostile names, types, sessions and roles: none fails a write, falsifies the log
or gains a right.
"""

import os
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from geosvc.database.changefeed.publishing import publish
from geosvc.errors import PublishError
from geosvc.settings import Settings
from tests.conftest import settings_for
from tests.publishing import PLACES, Writing, as_role, db, migrate_nasty, migrated_url, nasty_db

__all__ = ["as_role", "db", "migrate_nasty", "migrated_url", "nasty_db"]
Connect = Callable[[str, str], Awaitable[asyncpg.Connection]]

POPULATED = """
SELECT c.key, s.state::text, t::text IS NOT DISTINCT FROM (json_populate_record(NULL::{table}, s.state))::text AS same,
       t::text AS row, (json_populate_record(NULL::{table}, s.state))::text AS populated
FROM geosvc.change c, LATERAL (SELECT coalesce(c.new, c.old) AS state) s, {table} t
WHERE t.{key}::text = c.key ORDER BY c.key
"""
HOSTILE_SESSION = """
SET timezone = 'Asia/Kathmandu'; SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET bytea_output = 'escape';
SET extra_float_digits = -15; SET standard_conforming_strings = off; SET escape_string_warning = off;
SET quote_all_identifiers = on; SET transform_null_equals = on;
SET search_path = ''; SET default_transaction_isolation = 'serializable'
"""


async def test_a_row_of_every_type_comes_back_from_its_state(nasty_db: Writing) -> None:
    await nasty_db.publish("nasty_types")
    # a JSON null comes back as no value, as properties show it
    await nasty_db.execute(
        "UPDATE nasty_types SET a_json = NULL, a_jsonb = NULL WHERE a_json::text = 'null'"
    )
    await nasty_db.logged()
    await nasty_db.execute(HOSTILE_SESSION)
    await nasty_db.execute("UPDATE public.nasty_types SET label = label || '.'")
    await nasty_db.execute("RESET ALL")
    rows = await nasty_db.fetch(POPULATED.format(table="nasty_types", key="id"))
    assert [row["key"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    without = [row["key"] for row in rows if row["state"] is None]
    assert without == [
        "2",
        "4",
    ]  # their json holds escaped surrogates, which json_populate_record may refuse
    assert [
        (row["row"], row["populated"]) for row in rows if row["state"] and not row["same"]
    ] == []
    # and one by one, which is another way through the function
    await nasty_db.logged()
    await nasty_db.execute("UPDATE nasty_types SET a_json = NULL")
    await nasty_db.logged()
    for number in range(1, 7):
        await nasty_db.execute(f"UPDATE nasty_types SET label = label || '.' WHERE id = {number}")
    rows = await nasty_db.fetch(POPULATED.format(table="nasty_types", key="id"))
    assert [(row["key"], row["same"]) for row in rows] == [
        (str(number), True) for number in range(1, 7)
    ]


async def test_every_stored_geometry_is_logged(nasty_db: Writing) -> None:
    await nasty_db.publish("nasty_geometries")
    ids = [row[0] for row in await nasty_db.fetch("SELECT id FROM nasty_geometries ORDER BY id")]
    for number in ids:
        await nasty_db.execute(
            f"UPDATE nasty_geometries SET label = label || '.' WHERE id = {number}"
        )
    rows = await nasty_db.fetch(
        "SELECT c.key, c.operation::text, c.new IS NULL AS without, c.new_box IS NULL AS nowhere,"
        " (json_populate_record(NULL::nasty_geometries, c.new)).geom::text IS NOT DISTINCT FROM"
        " t.geom::text AS same"
        " FROM geosvc.change c JOIN nasty_geometries t ON t.id::text = c.key ORDER BY t.id"
    )
    assert [row["key"] for row in rows] == [str(number) for number in ids]
    assert {row["operation"] for row in rows} == {"u"}
    assert {row["key"] for row in rows if row["without"]} == {"120", "121"}
    assert [row["key"] for row in rows if not row["without"] and not row["same"]] == []
    assert {"10", "11", "12", "13", "14", "16", "17", "18", "52"} <= {
        row["key"] for row in rows if row["nowhere"]
    }
    await nasty_db.execute("DELETE FROM geosvc.change; DELETE FROM nasty_geometries")
    assert {each[0] for each in await nasty_db.logged()} == {"d"}


@pytest.mark.parametrize(
    ("collection", "key"),
    [
        ('nasty "names" ünïcode', '"ID of ""this"" {row}; --"'),
        ("nasty_text_key", "id"),
        ("nasty_uuid_key", "id"),
    ],
)
async def test_odd_names_and_keys_are_written_as_they_are(
    nasty_db: Writing, collection: str, key: str
) -> None:
    await nasty_db.publish(collection)
    table = f'''public."{collection.replace('"', '""')}"'''
    ids = sorted(row[0] for row in await nasty_db.fetch(f"SELECT {key}::text FROM {table}"))
    assert ids
    await nasty_db.execute(f"UPDATE {table} SET {key} = {key}")
    rows = await nasty_db.fetch(POPULATED.format(table=table, key=key))
    assert [(row["key"], row["same"]) for row in rows] == [(each, True) for each in ids]


async def test_columns_may_be_called_like_what_is_used_inside(db: Writing) -> None:
    inside = [
        "r",
        "o",
        "n",
        "key",
        "box",
        "state",
        "s0",
        "s1",
        "total",
        "old_rows",
        "new_rows",
        "old",
        "new",
        "this_key",
    ]
    names = [
        *inside,
        "tg_op",
        "this_state",
        "old_key",
        "new_extent",
        "id$1",
        "$geosvc0$",
        "found",
        "counted",
        "%I",
        "{0}",
        "%s",
    ]
    columns = ", ".join(f'"{name}" text' for name in names)
    await db.execute(f"CREATE TABLE places ({columns}, extent geometry, PRIMARY KEY (key, r))")
    await db.publish()
    values = ", ".join(f"'{number}'" for number in range(len(names)))
    assert await db.does(f"INSERT INTO places VALUES ({values}, 'POINT(1 2)')") == [
        ("i", "3,0", None)
    ]
    assert await db.does("UPDATE places SET box = 'x'") == [("u", "3,0", None)]
    await db.execute("INSERT INTO places (key, r) VALUES ('a,b', E'c\\\\d'), ('e', 'f')")
    await db.execute("UPDATE places SET n = 'y'; DELETE FROM places")
    found = await db.logged()
    assert {each[0] for each in found} == {"i", "u", "d"}
    assert {each[1] for each in found} == {"3,0", "a\\,b,c\\\\d", "e,f"}


async def test_a_name_that_looks_like_the_end_of_the_body_is_a_name(db: Writing) -> None:
    await db.execute(
        'CREATE TABLE "$geosvc0$" ("$geosvc0$; DROP TABLE x; --" int PRIMARY KEY, "$$" text, "Geom $geosvc1$" geometry)'
    )
    await db.publish("$geosvc0$")
    assert await db.does("""INSERT INTO "$geosvc0$" VALUES (1, 'a', 'POINT(1 2)')""") == [
        ("i", "1", None)
    ]


async def test_the_boxes_are_those_of_the_first_of_two_geometries_and_states_hold_both(
    db: Writing,
) -> None:
    await db.execute(
        "CREATE TABLE places (id int PRIMARY KEY, zone geography(Polygon), middle geometry(Point,"
        " 3067))"
    )
    await publish(settings_for(db.url), db.url, "places.middle")
    await db.logged()
    await db.execute(
        "INSERT INTO places VALUES (1, 'POLYGON((0 0, 2 0, 2 1, 0 0))', 'SRID=3067;POINT(385600"
        " 6671800)')"
    )
    (row,) = await db.fetch(
        "SELECT new_box, (json_populate_record(NULL::places, new))::text = t::text AS same FROM"
        " geosvc.change, places t"
    )
    assert (row["new_box"], row["same"]) == (asyncpg.Box((2, 1), (0, 0)), True)


async def test_the_state_of_a_large_row_is_left_out(db: Writing) -> None:
    await db.execute("CREATE TABLE places (id int PRIMARY KEY, name text, geom geometry)")
    await db.publish()
    line = "ST_MakeLine(ARRAY(SELECT ST_MakePoint(random(), random()) FROM generate_series(1, {})))"
    await db.execute(f"INSERT INTO places VALUES (1, 'small', {line.format(4_000)})")
    await db.execute(f"UPDATE places SET geom = {line.format(4_200)}")
    await db.execute(
        "UPDATE places SET geom = 'POINT(1 1)', name = repeat('x', 70000)"
    )  # it compresses to a few hundred bytes
    await db.execute(
        "INSERT INTO places VALUES (2), (3); UPDATE places SET name = 'y' WHERE id < 3"
    )
    found = [
        (row["op"], row["key"], row["old"] is not None, row["new"] is not None)
        for row in await db.rows()
    ]
    assert found[:5] == [
        ("i", "1", False, True),
        ("u", "1", True, False),
        ("u", "1", False, False),
        ("i", "2", False, True),
        ("i", "3", False, True),
    ]
    assert sorted(found[5:]) == [("u", "1", False, True), ("u", "2", True, True)]


async def test_keys_are_written_as_ids_of_features_whatever_the_session_says(db: Writing) -> None:
    await db.execute(
        "CREATE TABLE places (at timestamptz, day date, size float8, span interval, raw bytea,"
        " geom geometry,"
        " PRIMARY KEY (at, day, size, span, raw))"
    )
    await db.publish()
    insert = (
        "INSERT INTO public.places VALUES"
        " ('2026-03-04T12:00Z', '2026-03-04', 0.1::float8 + 0.2, '1 year 2 days', {}'\\x00ff')"
    )
    assert await db.does(insert.format("")) == [
        ("i", "2026-03-04 12:00:00+00,2026-03-04,0.30000000000000004,P1Y2D,\\\\x00ff", None)
    ]
    await db.execute(HOSTILE_SESSION)
    await db.execute("DELETE FROM public.places")
    await db.execute("RESET ALL")
    assert await db.logged() == [
        ("d", "2026-03-04 12:00:00+00,2026-03-04,0.30000000000000004,P1Y2D,\\\\x00ff", None)
    ]


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ("ALTER TABLE places RENAME name TO title", "name"),
        ("ALTER TABLE places DROP name", "name"),
        ("ALTER TABLE places DROP geom", "geom"),
        ("ALTER TABLE places RENAME id TO fid", "id"),
        ("ALTER EXTENSION postgis SET SCHEMA gis", ""),
    ],
)
async def test_a_table_that_was_altered_takes_writes_and_says_that_something_changed(
    db: Writing, change: str, lacks: str
) -> None:
    await db.execute(
        PLACES
        + "; CREATE SCHEMA gis; UPDATE pg_extension SET extrelocatable = true WHERE extname = 'postgis'"
    )
    await db.publish()
    await db.execute("INSERT INTO places VALUES (1), (2)")
    await db.execute(change)
    await db.logged()
    key = "fid" if lacks == "id" else "id"
    for statement in (
        f"INSERT INTO places ({key}) VALUES (3)",
        f"INSERT INTO places ({key}) VALUES (4), (5)",
        f"UPDATE places SET {key} = 6 WHERE {key} = 5",
        f"UPDATE places SET {key} = {key} + 10",
        f"DELETE FROM places WHERE {key} = 11",
        "DELETE FROM places",
    ):
        assert await db.does(statement) == [("?", None, 0)], statement
    assert await db.does("DELETE FROM places") == []
    if lacks != "geom":
        await db.publish()
        assert await db.does(f"INSERT INTO places ({key}) VALUES (3)") == [("i", "3", None)]


async def test_a_column_that_was_added_or_retyped_is_no_trouble(db: Writing) -> None:
    await db.execute(PLACES)
    await db.publish()
    await db.execute("INSERT INTO places VALUES (1, '1')")
    await db.execute(
        "ALTER TABLE places ADD note text, ALTER id TYPE bigint, ALTER name TYPE varchar(9)"
    )
    await db.logged()
    await db.execute("INSERT INTO places VALUES (5000000000, 2, NULL, 'x')")
    (row,) = await db.rows()
    assert (row["op"], row["key"], row["new"]) == (
        "i",
        "5000000000",
        '{"id":5000000000,"name":"2","geom":null}',
    )


async def test_whoever_writes_cannot_run_anything_as_who_published(
    db: Writing, as_role: Connect
) -> None:
    await db.execute(
        "CREATE SCHEMA evil; CREATE TYPE public.mood AS ENUM ('well'); CREATE TYPE public.pair AS"
        " (a int, b text);"
        "CREATE DOMAIN public.moods AS public.mood[];"
        "CREATE TABLE places (id int, code text, mood mood, pair pair, moods moods, n numeric,"
        " geom geometry, zone geography,"
        " PRIMARY KEY (id, code))"
    )
    rights = (
        "GRANT ALL ON SCHEMA evil TO {role}; GRANT INSERT, UPDATE, DELETE, SELECT ON places TO"
        " {role};"
        "ALTER TYPE public.mood OWNER TO {role}; ALTER TYPE public.pair OWNER TO {role};"
        "ALTER DOMAIN public.moods OWNER TO {role};"
    )
    enemy = await as_role("enemy", rights)
    await db.publish()
    take = "RETURNS {} LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.taken VALUES (current_user); RETURN {}; END $$"
    await enemy.execute(
        "CREATE TABLE evil.taken (by text); GRANT INSERT ON evil.taken TO PUBLIC; GRANT USAGE ON"
        " SCHEMA evil TO PUBLIC"
    )
    for left, right in [
        ("text", "text"),
        ("int8", "int4"),
        ("int4", "int4"),
        ("anyelement", "anyelement"),
    ]:
        await enemy.execute(
            f"CREATE FUNCTION evil.compare({left}, {right}) {take.format('bool', 'true')}"
        )
        for operator in ("=", "<", ">", "<=", "||", "+", "~*"):
            await enemy.execute(
                f"CREATE OPERATOR evil.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION"
                " = evil.compare)"
            )
    for name, arguments, result in [
        ("count", "", "int8"),
        ("row_to_json", "record", "json"),
        ("pg_column_size", "anyelement", "int4"),
        ("octet_length", "text", "int4"),
        ("num_nulls", "anyelement", "int4"),
        ("format", "text, anyelement", "text"),
        ("regexp_replace", "text, text, text, text", "text"),
        ("st_extent", "public.geometry", "public.box2d"),
        ("pg_try_advisory_lock", "int, int", "bool"),
        ("pg_advisory_unlock", "int, int", "bool"),
        ("nextval", "regclass", "int8"),
        ("clock_timestamp", "", "timestamptz"),
        ("pg_current_xact_id", "", "xid8"),
        ("box", "public.geometry", "box"),
        ("text", "public.geometry", "text"),
    ]:
        await enemy.execute(
            f"CREATE FUNCTION evil.{name}({arguments}) {take.format(result, 'NULL')}"
        )
    for name, type_name in [
        ("text", "text"),
        ("int8", "int8"),
        ("box", "box"),
        ("json", "json"),
        ("bool", "bool"),
        ("char", "text"),
    ]:
        await enemy.execute(
            f'CREATE DOMAIN evil."{name}" AS pg_catalog.{type_name} CHECK (evil.compare(1, 1))'
        )
    for type_name in ("public.mood", "public.pair", "public.mood[]"):
        for target in ("text", "json"):
            await enemy.execute(
                f"CREATE FUNCTION evil.write_{target}({type_name}) {take.format(target, 'NULL')}"
            )
            await enemy.execute(
                f"CREATE CAST ({type_name} AS {target}) WITH FUNCTION"
                f" evil.write_{target}({type_name}) AS IMPLICIT"
            )
    await enemy.execute(
        "CREATE TABLE evil.change (LIKE evil.taken); CREATE TEMP TABLE new_rows (x int);"
        "SET search_path = evil, pg_catalog, public"
    )
    values = "('well'), ROW(1, 'x'), ARRAY['well']::public.mood[], 1, 'POINT(1 2)', 'POINT(1 2)'"
    await enemy.execute(f"INSERT INTO public.places VALUES (1, 'a', {values})")
    await enemy.execute(f"INSERT INTO public.places VALUES (2, 'a', {values}), (3, 'b', {values})")
    await enemy.execute("UPDATE public.places SET n = 2 WHERE id OPERATOR(pg_catalog.=) 1")
    await enemy.execute(
        "UPDATE public.places SET n = 3, id = id OPERATOR(pg_catalog.+) 10; DELETE FROM"
        " public.places"
    )
    assert await db.fetch("SELECT * FROM evil.taken") == []
    found = await db.rows()
    assert sorted({row["op"] for row in found}) == ["d", "i", "u"]
    assert '"mood":"well","pair":"(1,x)","moods":"{well}"' in found[0]["new"]


async def test_the_rights_of_writers_are_those_on_the_table(db: Writing, as_role: Connect) -> None:
    await db.execute(PLACES)
    await db.publish()
    writer = await as_role("writer", "GRANT INSERT ON places TO {role}")
    await writer.execute("INSERT INTO places VALUES (1), (2)")
    assert await db.logged() == [("i", "1", None), ("i", "2", None)]
    for statement in (
        "INSERT INTO geosvc.change DEFAULT VALUES",
        "SELECT geosvc.change_1_insert()",
        "SELECT FROM geosvc.change",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await writer.execute(statement)
    await db.execute(
        "CREATE SCHEMA own; GRANT ALL ON SCHEMA own TO PUBLIC; GRANT USAGE ON SCHEMA geosvc TO"
        " PUBLIC"
    )
    await writer.execute("CREATE TABLE own.t (id int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await writer.execute(
            "CREATE TRIGGER forge AFTER INSERT ON own.t REFERENCING NEW TABLE AS new_rows"
            " EXECUTE FUNCTION geosvc.change_1_insert()"
        )


async def test_who_may_not_publish_is_told_who_may(db: Writing, as_role: Connect) -> None:
    await db.execute(PLACES)
    owner = await as_role(
        "owner", "ALTER TABLE places OWNER TO {role}; GRANT ALL ON SCHEMA public TO {role}"
    )
    role = await owner.fetchval("SELECT current_user")
    url = db.url.replace("postgresql://postgres@", f"postgresql://{role}@")
    await db.execute(f"ALTER ROLE {role} LOGIN")
    with pytest.raises(
        PublishError,
        match=f"the role {role} may not write to the schema geosvc: run this as postgres",
    ):
        await publish(Settings(), url, "places")
    await db.execute(
        f"GRANT USAGE, CREATE ON SCHEMA geosvc TO {role}; GRANT INSERT ON geosvc.change TO {role};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON geosvc.publication TO {role};"
        f"GRANT USAGE ON SEQUENCE geosvc.change_seq TO {role}"
    )
    assert (await publish(Settings(), url, "places")).publication == 1
    await db.logged()
    await db.execute("INSERT INTO places VALUES (1)")
    assert await db.logged() == [("i", "1", None)]
    await db.execute(
        "ALTER TABLE places OWNER TO postgres; CREATE TABLE more (id int, geom geometry); GRANT"
        " SELECT ON more TO PUBLIC"
    )
    with pytest.raises(
        PublishError, match=r"only postgres, the owner of the table public\.more, may publish it"
    ):
        await publish(Settings(), url, "more")


async def test_sessions_of_replication_are_logged(db: Writing) -> None:
    await db.execute(PLACES)
    await db.publish()
    assert await db.does(
        "SET session_replication_role = replica; INSERT INTO places VALUES (1)"
    ) == [("i", "1", None)]


async def test_a_prepared_transaction_is_logged_when_it_commits(db: Writing) -> None:
    if await db.value("SELECT current_setting('max_prepared_transactions')") == "0":
        pytest.skip("the server has no prepared transactions")
    await db.execute(PLACES)
    await db.publish()
    name = f"geosvc_{os.getpid()}"
    await db.execute(f"BEGIN; INSERT INTO places VALUES (1); PREPARE TRANSACTION '{name}'")
    assert await db.logged() == []
    await db.execute(f"COMMIT PREPARED '{name}'")
    assert await db.logged() == [("i", "1", None)]
    reader = await asyncpg.connect(db.url)
    await reader.fetch("SELECT pg_advisory_lock_shared(1734701942, 0)")
    await db.execute("BEGIN; INSERT INTO places VALUES (2)")
    with pytest.raises(asyncpg.FeatureNotSupportedError):  # as docs/operations.md says
        await db.execute(f"PREPARE TRANSACTION '{name}'")
    await reader.close()


async def test_only_a_reader_that_sleeps_is_notified(db: Writing) -> None:
    await db.execute(PLACES)
    await db.publish()
    heard: list[object] = []
    reader = await asyncpg.connect(db.url)
    await reader.add_listener("geosvc_change", lambda *_: heard.append(1))
    await db.execute("INSERT INTO places VALUES (1)")
    await reader.fetch("SELECT pg_advisory_lock_shared(1734701942, 0)")
    assert heard == []
    await db.execute("INSERT INTO places VALUES (2)")
    await db.execute("INSERT INTO places VALUES (3), (4); DELETE FROM places WHERE false")
    await reader.fetch("SELECT pg_advisory_unlock_shared(1734701942, 0)")
    assert len(heard) == 2
    await reader.close()
    assert await db.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_the_row_of_an_unkeyed_table_that_was_altered_is_no_trouble(db: Writing) -> None:
    await db.execute("CREATE TABLE places (name text, geom geometry)")
    await db.publish()
    await db.execute("ALTER TABLE places DROP geom")
    assert await db.does("INSERT INTO places VALUES (1)") == [("?", None, 0)]
    assert await db.does("UPDATE places SET name = 'x'") == [("?", None, 0)]
    assert await db.does("DELETE FROM places") == [("?", None, 0)]

"""`geosvc publish`: every change of a table is logged in the transaction that makes it."""

import asyncio
import io

import asyncpg
import pytest
from click.testing import CliRunner, Result

from geosvc.cli import main
from geosvc.database.catalog import CatalogFollower
from geosvc.database.changefeed.publishing import publish
from geosvc.database.pool import Database
from geosvc.errors import PublishError
from geosvc.model.collection import Publication
from geosvc.model.principal import ANONYMOUS
from geosvc.settings import Settings
from tests.conftest import execute, settings_for
from tests.publishing import PLACES, Writing, as_role, db, migrated_url

__all__ = ["as_role", "db", "migrated_url"]
POINT = "'SRID=4326;POINT({} {})'"
TRACES = """
SELECT 'trigger ' || t.tgname || ' on ' || t.tgrelid::regclass FROM pg_trigger t WHERE NOT t.tgisinternal
UNION ALL SELECT 'function ' || p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'geosvc'::regnamespace
UNION ALL SELECT 'publication ' || relation FROM geosvc.publication
UNION ALL SELECT 'dependency ' || pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend d
          WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = 'places'::regclass
ORDER BY 1
"""


async def test_a_row_inserted_changed_and_deleted_is_logged_with_its_states_and_boxes(
    db: Writing,
) -> None:
    await db.execute(PLACES)
    done = await db.publish()
    assert (done.publication, done.relation, done.parts, done.warnings) == (
        1,
        "public.places",
        0,
        (),
    )
    await db.execute("INSERT INTO places VALUES (1, 'here', 'SRID=4326;POINT(1 2)')")
    await db.execute("UPDATE places SET name = 'there', geom = 'SRID=4326;POINT(3 4)'")
    await db.execute("DELETE FROM places")
    rows = await db.rows()
    assert [(row["op"], row["key"], row["rows"], row["publication"]) for row in rows] == [
        (operation, "1", None, 1) for operation in "iud"
    ]
    here = '{"id":1,"name":"here","geom":"0101000020E6100000000000000000F03F0000000000000040"}'
    there = '{"id":1,"name":"there","geom":"0101000020E610000000000000000008400000000000001040"}'
    assert [(row["old"], row["new"]) for row in rows] == [
        (None, here),
        (here, there),
        (there, None),
    ]
    at_1, at_3 = asyncpg.Box((1, 2), (1, 2)), asyncpg.Box((3, 4), (3, 4))
    assert [(row["old_box"], row["new_box"]) for row in rows] == [
        (None, at_1),
        (at_1, at_3),
        (at_3, None),
    ]


async def test_a_transaction_is_logged_whole_or_not_at_all(db: Writing) -> None:
    await db.execute(PLACES)
    await db.publish()
    async with db.connection.transaction():
        await db.execute("INSERT INTO places VALUES (1), (2)")
        inner = db.connection.transaction()
        await inner.start()
        await db.execute("INSERT INTO places VALUES (3); UPDATE places SET name = 'x'")
        await inner.rollback()
        await db.execute("DELETE FROM places WHERE id = 2")
        xid = await db.value("SELECT pg_current_xact_id()::text")
    rows = await db.rows()
    assert [(row["op"], row["key"], str(row["xid"])) for row in rows] == [
        ("i", "1", xid),
        ("i", "2", xid),
        ("d", "2", xid),
    ]
    outer = db.connection.transaction()
    await outer.start()
    await db.execute("INSERT INTO places VALUES (4)")
    await outer.rollback()
    assert await db.logged() == []


async def test_every_kind_of_statement_is_logged(db: Writing) -> None:
    await db.execute(PLACES)
    await db.publish()
    await db.connection.copy_to_table("places", source=io.BytesIO(b"1\ta\t\\N\n2\tb\t\\N\n"))
    assert await db.logged() == [("i", "1", None), ("i", "2", None)]
    upsert = "INSERT INTO places VALUES {} ON CONFLICT (id) DO UPDATE SET name = excluded.name"
    assert await db.does(upsert.format("(2, 'c')")) == [("u", "2", None)]
    assert await db.does(upsert.format("(3, 'c')")) == [("i", "3", None)]
    assert sorted(await db.does(upsert.format("(2, 'd'), (4, 'd')"))) == [
        ("i", "4", None),
        ("u", "2", None),
    ]
    assert await db.does("INSERT INTO places VALUES (1) ON CONFLICT DO NOTHING") == []
    assert await db.does("UPDATE places SET name = 'x' WHERE id > 100") == []
    assert await db.does("DELETE FROM places WHERE id > 100") == []
    assert await db.does("TRUNCATE places") == [("t", None, 0)]
    assert await db.does(
        "WITH a AS (INSERT INTO places VALUES (1) RETURNING id) SELECT * FROM a"
    ) == [("i", "1", None)]
    assert await db.does("TRUNCATE places; INSERT INTO places VALUES (1)") == [
        ("t", None, 0),
        ("i", "1", None),
    ]


async def test_merge_is_logged(db: Writing) -> None:
    if await db.value("SELECT current_setting('server_version_num')::int") < 150_000:
        pytest.skip("MERGE is of PostgreSQL 15")
    await db.execute(PLACES + "; INSERT INTO places VALUES (1), (2)")
    await db.publish()
    merge = """
    MERGE INTO places p USING (VALUES (1, 'a'), (2, 'b'), (3, 'c')) AS s(id, name) ON s.id = p.id
    WHEN MATCHED AND s.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.name
    WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name)
    """
    assert sorted(await db.does(merge)) == [("d", "1", None), ("i", "3", None), ("u", "2", None)]


async def test_what_cascades_is_logged(db: Writing) -> None:
    await db.execute(
        "CREATE TABLE towns (id int PRIMARY KEY);"
        "CREATE TABLE places (id int PRIMARY KEY, geom geometry,"
        " town int REFERENCES towns ON DELETE CASCADE ON UPDATE CASCADE);"
        "INSERT INTO towns VALUES (1), (2); INSERT INTO places VALUES (10, NULL, 1), (11, NULL,"
        " 1), (20, NULL, 2)"
    )
    await db.publish()
    assert await db.does("UPDATE towns SET id = 3 WHERE id = 2") == [("u", "20", None)]
    assert sorted(await db.does("DELETE FROM towns WHERE id = 1")) == [
        ("d", "10", None),
        ("d", "11", None),
    ]
    assert await db.does("TRUNCATE towns CASCADE") == [("t", None, 0)]


async def test_a_key_that_changes_is_a_delete_and_an_insert(db: Writing) -> None:
    await db.execute(PLACES + "; INSERT INTO places VALUES (1, 'a'), (3, 'c'), (2, 'b')")
    await db.publish()
    assert await db.does("UPDATE places SET id = 10 WHERE id = 1") == [
        ("d", "1", None),
        ("i", "10", None),
    ]
    await db.execute(
        "UPDATE places SET id = CASE id WHEN 3 THEN 4 WHEN 2 THEN 3 ELSE id END WHERE id < 10"
    )
    found = {
        (row["op"], row["key"], row["old"] and row["old"][:17], row["new"] and row["new"][:17])
        for row in await db.rows()
    }
    assert {each[:2] for each in found} == {("d", "2"), ("u", "3"), ("i", "4")}
    # the feature 3 was the row c, and is the row b now
    assert [each[2:] for each in found if each[1] == "3"] == [
        ('{"id":3,"name":"c', '{"id":3,"name":"b')
    ]


@pytest.mark.parametrize("rows", [999, 1_000, 1_001])
async def test_more_than_a_thousand_rows_are_one_row_with_their_extent(
    db: Writing, rows: int
) -> None:
    await db.execute(PLACES)
    await db.publish()
    bulk = rows > 1_000
    await db.execute(
        "INSERT INTO places SELECT n, 'x', ST_SetSRID(ST_MakePoint(n % 90, n % 45), 4326) FROM"
        f" generate_series(1, {rows}) n"
    )
    await db.execute("UPDATE places SET geom = ST_Translate(geom, 1, 2)")
    await db.execute("UPDATE places SET id = -id")
    await db.execute("DELETE FROM places")
    found = await db.rows()
    if bulk:
        first, second = asyncpg.Box((89, 44), (0, 0)), asyncpg.Box((90, 46), (1, 2))
        assert [
            (
                row["op"],
                row["key"],
                row["rows"],
                row["old_box"],
                row["new_box"],
                row["old"],
                row["new"],
            )
            for row in found
        ] == [
            ("i", None, rows, None, first, None, None),
            ("u", None, rows, first, second, None, None),
            ("u", None, rows, second, second, None, None),
            ("d", None, rows, second, None, None, None),
        ]
    else:
        assert [row["op"] for row in found[: 2 * rows]] == ["i"] * rows + ["u"] * rows
        assert (
            sorted(row["op"] for row in found[2 * rows : 4 * rows]) == ["d"] * rows + ["i"] * rows
        )
        assert {row["op"] for row in found[4 * rows :]} == {"d"}
        assert all(row["rows"] is None and row["key"] for row in found)


async def test_without_a_key_every_statement_is_logged_as_one(db: Writing) -> None:
    await db.execute("CREATE TABLE places (name text, geom geometry(Point, 4326))")
    assert (await db.publish()).warnings == (
        (
            "the table has no key: one change is logged for each statement, without the ids of"
            " features"
        ),
    )
    await db.execute(
        f"INSERT INTO places VALUES ('a', {POINT.format(1, 2)}), ('b', {POINT.format(3, 0)}),"
        " ('c', NULL)"
    )
    await db.execute("UPDATE places SET geom = NULL WHERE name = 'b'")
    await db.execute(
        "UPDATE places SET name = '' WHERE false; DELETE FROM places WHERE false; INSERT INTO"
        " places SELECT FROM places LIMIT 0"
    )
    await db.execute("DELETE FROM places; TRUNCATE places")
    at_1, at_3, both = (
        asyncpg.Box(*box) for box in (((1, 2), (1, 2)), ((3, 0), (3, 0)), ((3, 2), (1, 0)))
    )
    assert [
        (row["op"], row["key"], row["rows"], row["old_box"], row["new_box"])
        for row in await db.rows()
    ] == [
        ("i", None, 3, None, both),
        ("u", None, 1, at_3, None),
        ("d", None, 3, at_1, None),
        ("t", None, 0, None, None),
    ]


async def test_a_key_of_the_settings_counts_when_it_is_unique_and_never_null(db: Writing) -> None:
    await db.execute("CREATE TABLE places (code text, geom geometry)")
    named = settings_for(db.url, collections={"places": {"key": "code"}})
    (warning,) = (await db.publish(settings=named)).warnings
    assert warning.startswith(
        "no unique index of public.places covers the key: one change is logged for each statement"
    )
    assert await db.does("INSERT INTO places VALUES ('a')") == [("i", None, 1)]
    await db.execute("ALTER TABLE places ADD UNIQUE (code), ALTER code SET NOT NULL")
    assert (await db.publish(settings=named)).warnings == ()
    assert await db.does("INSERT INTO places VALUES ('b')") == [("i", "b", None)]


async def test_partitions_are_logged_however_they_are_written_to(db: Writing) -> None:
    await db.execute(
        "CREATE TABLE places (id int, area text, geom geometry, PRIMARY KEY (id, area)) PARTITION"
        " BY LIST (area);"
        "CREATE TABLE north PARTITION OF places FOR VALUES IN ('n');"
        "CREATE TABLE south PARTITION OF places FOR VALUES IN ('s') PARTITION BY RANGE (id);"
        # its columns are in another order
        "CREATE TABLE south_1 (area text, gone int, geom geometry, id int NOT NULL);"
        "ALTER TABLE south_1 DROP gone, ALTER area SET NOT NULL;"
        "ALTER TABLE south ATTACH PARTITION south_1 FOR VALUES FROM (0) TO (100)"
    )
    assert (await db.publish()).parts == 3
    assert await db.does("INSERT INTO places VALUES (1, 'n'), (2, 's')") == [
        ("i", "1,n", None),
        ("i", "2,s", None),
    ]
    assert await db.does("INSERT INTO south_1 (id, area) VALUES (3, 's')") == [("i", "3,s", None)]
    assert await db.does("UPDATE south SET geom = 'POINT(1 1)' WHERE id = 3") == [
        ("u", "3,s", None)
    ]
    assert await db.does("UPDATE places SET area = 's' WHERE id = 1") == [
        ("d", "1,n", None),
        ("i", "1,s", None),
    ]
    await db.execute("UPDATE places SET geom = 'POINT(2 2)'")
    rows = await db.rows()
    assert sorted((row["op"], row["key"]) for row in rows) == [
        ("u", "1,s"),
        ("u", "2,s"),
        ("u", "3,s"),
    ]
    assert all(row["new"].startswith('{"id":') for row in rows)
    assert await db.does("DELETE FROM south_1 WHERE id = 3") == [("d", "3,s", None)]
    assert await db.does("TRUNCATE north") == [
        ("?", None, 0)
    ]  # of the whole nobody knows what went
    assert await db.does("TRUNCATE places") == [("t", None, 0), *[("?", None, 0)] * 3]


async def test_a_row_that_a_trigger_of_its_new_partition_refuses_is_a_delete(db: Writing) -> None:
    await db.execute(
        "CREATE TABLE places (id int, area text, geom geometry, PRIMARY KEY (id, area)) PARTITION"
        " BY LIST (area);"
        "CREATE TABLE north PARTITION OF places FOR VALUES IN ('n');"
        "CREATE TABLE south PARTITION OF places FOR VALUES IN ('s');"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER refuse BEFORE INSERT ON south FOR EACH ROW EXECUTE FUNCTION refuse();"
        "INSERT INTO places VALUES (1, 'n'), (2, 'n'), (3, 'n')"
    )
    await db.publish()
    assert await db.does("UPDATE places SET area = 's' WHERE id = 1") == [("d", "1,n", None)]
    assert sorted(await db.does("UPDATE places SET area = 's'")) == [
        ("d", "2,n", None),
        ("d", "3,n", None),
    ]
    assert await db.value("SELECT count(*) FROM places") == 0


async def test_new_and_detached_partitions_are_mended_by_publishing_again(db: Writing) -> None:
    await db.execute(
        "CREATE TABLE places (id int PRIMARY KEY, geom geometry) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF places FOR VALUES FROM (0) TO (10)"
    )
    first = await db.publish()
    await db.execute("CREATE TABLE p2 PARTITION OF places FOR VALUES FROM (10) TO (20)")
    assert await db.does("INSERT INTO p2 VALUES (11)") == []
    await db.execute("ALTER TABLE places DETACH PARTITION p1")
    again = await db.publish()
    assert (again.publication, again.parts) == (first.publication, 1)
    assert await db.does("INSERT INTO p2 VALUES (12); INSERT INTO p1 VALUES (1)") == [
        ("i", "12", None)
    ]


async def test_children_are_logged_and_cannot_be_published_by_themselves(db: Writing) -> None:
    await db.execute(
        PLACES + "; CREATE TABLE shops (opens time, PRIMARY KEY (id)) INHERITS (places)"
    )
    assert (await db.publish()).parts == 1
    # no key holds for parent and children together, so there are no ids, and a statement is told by
    # the number of its rows
    assert await db.does("INSERT INTO shops VALUES (1, 'a', NULL, '08:00')") == [("i", None, 1)]
    assert await db.does("UPDATE places SET name = 'b'") == [("u", None, 1)]
    assert await db.does("DELETE FROM shops") == [("d", None, 1)]
    with pytest.raises(PublishError, match=r"a child of public\.places.*publish public\.places"):
        await db.publish("shops")


async def test_a_published_table_that_becomes_a_part_ends_as_a_publication_of_its_own(
    db: Writing,
) -> None:
    await db.execute(PLACES + "; CREATE TABLE shops (LIKE places INCLUDING ALL)")
    own = await db.publish("shops")
    await db.execute("ALTER TABLE shops INHERIT places")
    done = await publish(Settings(), db.url, "places")
    told = await db.fetch("SELECT publication, operation::text FROM geosvc.change ORDER BY seq")
    assert [tuple(each) for each in told] == [(own.publication, "-"), (done.publication, "+")]
    await db.logged()
    assert await db.does("INSERT INTO shops VALUES (1)") == [("i", None, 1)]


async def test_publishing_again_mends_and_keeps_the_id(db: Writing) -> None:
    await db.execute(PLACES)
    first = await db.publish()
    await db.execute(
        "ALTER TABLE places ADD note text, DISABLE TRIGGER geosvc_update; DROP TRIGGER"
        " geosvc_delete ON places;"
        "ALTER TABLE places RENAME TO spots"
    )
    assert (await db.publish("spots")).publication == first.publication
    await db.execute(
        "INSERT INTO spots VALUES (1, 'a', NULL, 'b'); UPDATE spots SET note = 'c'; DELETE FROM"
        " spots"
    )
    assert [(row["op"], row["old"] or row["new"]) for row in await db.rows()] == [
        ("i", '{"id":1,"name":"a","note":"b","geom":null}'),
        ("u", '{"id":1,"name":"a","note":"b","geom":null}'),
        ("d", '{"id":1,"name":"a","note":"c","geom":null}'),
    ]
    assert await db.value("SELECT relation FROM geosvc.publication") == "public.spots"


async def test_a_table_made_anew_has_the_publication_of_its_name(db: Writing) -> None:
    await db.execute(PLACES)
    first = await db.publish()
    await db.execute(f"DROP TABLE places; {PLACES}")
    assert (await db.publish()).publication == first.publication
    await db.execute(f"ALTER TABLE places RENAME TO spots; {PLACES}")
    other = await db.publish()
    assert other.publication != first.publication  # that one is another table's
    assert sorted(await db.does("INSERT INTO places VALUES (1); INSERT INTO spots VALUES (2)")) == [
        ("i", "1", None),
        ("i", "2", None),
    ]


async def test_unpublishing_leaves_no_trace(db: Writing) -> None:
    await db.execute(
        PLACES + "; CREATE TRIGGER suppress BEFORE UPDATE ON places FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    )
    before = await db.fetch(TRACES)
    await db.publish()
    assert await db.fetch(TRACES) != before
    await db.unpublish()
    assert await db.fetch(TRACES) == before
    assert await db.does("INSERT INTO places VALUES (1)") == [("-", None, 0)]
    with pytest.raises(PublishError, match=r"^places is not published$"):
        await db.unpublish()


async def test_what_is_left_of_a_dropped_table_can_be_unpublished(db: Writing) -> None:
    await db.execute(PLACES)
    await db.publish()
    await db.execute("DROP TABLE places")
    await db.unpublish()
    assert (
        await db.value("SELECT count(*) FROM pg_proc WHERE pronamespace = 'geosvc'::regnamespace")
        == 0
    )


async def test_publishers_at_the_same_time_agree(db: Writing) -> None:
    await db.execute(PLACES)
    done = await asyncio.gather(*(publish(Settings(), db.url, "places") for _ in range(5)))
    assert {each.publication for each in done} == {1}
    assert await db.value("SELECT count(*) FROM geosvc.publication") == 1
    assert (
        await db.value(
            "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'places'::regclass AND tgenabled = 'A'"
        )
        == 4
    )


async def test_a_lock_is_not_waited_for_without_end(
    db: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geosvc.database.changefeed.publish_session.LOCK_SECONDS", 0.2)
    await db.execute(PLACES)
    async with db.connection.transaction():
        await db.execute("INSERT INTO places VALUES (1)")
        with pytest.raises(
            PublishError, match=r"^another session held a lock for more than 0\.2 s: try again$"
        ):
            await db.publish()
    await db.publish()


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        (
            "VIEW spots AS SELECT * FROM places",
            "spots is a view.* publish the tables that it reads",
        ),
        (
            "MATERIALIZED VIEW spots AS SELECT * FROM places",
            "spots is a materialised view.* publish the tables that it reads",
        ),
        (
            (
                "FUNCTION geosvc_functions.spots() RETURNS SETOF places LANGUAGE sql AS 'SELECT *"
                " FROM places'"
            ),
            "spots is a function.* publish the tables that it reads",
        ),
        ("VIEW place AS SELECT 1", "the collection spots does not exist$"),
    ],
)
async def test_what_cannot_be_published_is_refused_with_the_reason(
    db: Writing, made: str, refused: str
) -> None:
    await db.execute(f"{PLACES}; CREATE {made}")
    with pytest.raises(PublishError, match=refused):
        await db.publish("spots")


async def test_a_tree_with_a_foreign_table_is_refused(db: Writing) -> None:
    await db.execute(
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;"
        "CREATE TABLE places (id int, geom geometry) PARTITION BY RANGE (id);"
        "CREATE FOREIGN TABLE far PARTITION OF places FOR VALUES FROM (0) TO (10) SERVER nowhere"
    )
    with pytest.raises(PublishError, match=r"public\.far is a foreign table"):
        await db.publish()


def run(command: str, url: str, *arguments: str, status: int = 0) -> Result:
    """Runs a command of geosvc."""
    result = CliRunner().invoke(main, [command, *arguments, "--database-url", url])
    assert result.exit_code == status, result.output
    return result


def test_the_commands_publish_mend_and_unpublish(migrated_url: str) -> None:
    execute(migrated_url, PLACES)
    told = "places is published: changes of public.places are logged as publication 1\n"
    assert run("publish", migrated_url, "places").output == told
    assert run("publish", migrated_url, "places").output == told
    assert (
        run("unpublish", migrated_url, "places").output
        == "places is no longer published: nothing is left in public.places\n"
    )
    assert (
        run("publish", migrated_url, "place", status=1).output
        == "geosvc: the collection place does not exist; similar: places\n"
    )
    assert (
        run("unpublish", migrated_url, "places", status=1).output
        == "geosvc: places is not published\n"
    )


def test_publishing_wants_the_change_log(bare_database_url: str) -> None:
    execute(bare_database_url, PLACES)
    refused = run("publish", bare_database_url, "places", status=1)
    assert refused.output == "geosvc: the database has no change log yet: geosvc migrate up\n"


def test_behind_pgbouncer_publishing_wants_the_database_itself(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSVC_PGBOUNCER", "true")
    for command in ("publish", "unpublish"):
        refused = run(command, migrated_url, "places", status=1)
        assert (
            refused.output
            == "geosvc: behind PgBouncer, publishing needs GEOSVC_DIRECT_DATABASE_URL\n"
        )


def test_a_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in (
        "postgresql://me:s3cret@localhost:1/nowhere",
        "postgresql://me:s3cret@localhost:port/nowhere",
    ):
        output = run("publish", url, "places", status=1).output
        assert "s3cret" not in output
        assert output.count("\n") == 1


async def test_the_catalog_tells_what_is_published_and_notices_when_it_is_not(db: Writing) -> None:
    await db.execute(PLACES)
    database = Database(settings_for(db.url), db.url)
    await database.open()
    follower = CatalogFollower(database, settings_for(db.url))

    async def published() -> Publication | None:
        await follower.look()
        return (await follower.collection(ANONYMOUS, "places")).publication

    assert await published() is None
    await db.publish()
    there = Publication(1, ("id", "name", "geom"), ("id",), "geom")
    assert await published() == there
    for statement, found in [
        ("ALTER TABLE places DISABLE TRIGGER geosvc_delete", None),
        ("ALTER TABLE places ENABLE TRIGGER geosvc_delete", None),
        ("ALTER TABLE places ENABLE ALWAYS TRIGGER geosvc_delete", there),
        ("CREATE TABLE more () INHERITS (places)", None),
        ("ALTER TABLE more NO INHERIT places", there),
        (
            (
                "COMMENT ON FUNCTION geosvc.change_1_insert IS 'something else'; ALTER FUNCTION"
                " geosvc.change_1_insert() COST 90"
            ),
            None,
        ),
    ]:
        await db.execute(statement)
        assert await published() == found, statement
    await db.publish()
    assert await published() == there
    await db.execute("ALTER TABLE places DROP CONSTRAINT places_pkey, ADD PRIMARY KEY (id, name)")
    assert await published() is None  # the ids are others
    await db.execute("DROP TRIGGER geosvc_truncate ON places")
    assert await published() is None
    await database.close()

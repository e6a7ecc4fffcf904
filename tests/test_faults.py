"""States of a database that are to be expected: each is told with its cause, in the answer, the log
and `geosvc check`, and what is broken for one collection is broken for no other.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from geosvc.database.doctor import Doctor
from geosvc.database.sqlstate import READ_CLASSES, READ_STATES
from geosvc.events import CatalogLoaded, Event, QueryEnded, ReadFailed, RequestFailed, subscribe
from tests.conftest import Service, execute, settings_for
from tests.http import fetch
from tests.pooler import free_port

ROLE = "geosvc_faulty"
TABLE = "(id int PRIMARY KEY, geom geometry(Point, 4326))"

# the collection: what makes it, status, slug, a word of the detail, a word that `check` says
STATES: dict[str, tuple[str, int, str, str, str]] = {
    "unfilled": (
        "CREATE MATERIALIZED VIEW unfilled AS SELECT * FROM plain WITH NO DATA",
        503, "collection-unavailable", "REFRESH MATERIALIZED VIEW", "REFRESH MATERIALIZED VIEW",
    ),
    "over_unfilled": (
        "CREATE VIEW over_unfilled AS SELECT * FROM unfilled",
        503, "collection-unavailable", "REFRESH MATERIALIZED VIEW", "REFRESH MATERIALIZED VIEW",
    ),
    "invoker": (
        "CREATE VIEW invoker WITH (security_invoker = true) AS SELECT * FROM secret",
        500, "collection-broken", "privilege", "GRANT SELECT ON public.secret",
    ),
    "uncallable": (
        "CREATE VIEW uncallable AS SELECT id, hidden(id) AS n, geom FROM plain",
        500, "collection-broken", "privilege", "GRANT EXECUTE ON FUNCTION hidden(integer)",
    ),
    "forgotten": (
        "CREATE VIEW forgotten AS SELECT id, reads_what_is_gone() AS n, geom FROM plain",
        500, "collection-broken", "gone", "gone",
    ),
    "unmapped": (
        ("CREATE FOREIGN TABLE unmapped (id int, geom geometry(Point, 4326)) SERVER dead OPTIONS"
        " (table_name 'x')"),
        500, "collection-broken", "user mapping", "user mapping",
    ),
    "away": (
        ("CREATE FOREIGN TABLE away (id int, geom geometry(Point, 4326)) SERVER dead_mapped"
        " OPTIONS (table_name 'x')"),
        503, "foreign-server-unavailable", "foreign server", "foreign server",
    ),
    "unset": (
        ("CREATE VIEW unset AS SELECT id, geom FROM plain WHERE id ="
        " current_setting('app.tenant')::int"),
        500, "collection-broken", "setting", "setting",
    ),
    "lost_file": (
        """CREATE FOREIGN TABLE lost_file (id int, geom geometry(Point, 4326)) SERVER files
        OPTIONS (filename '/nowhere/points.csv', format 'csv')""",
        500, "collection-broken", "file", "file",
    ),
    "circular": (
        f"""CREATE TABLE circular {TABLE}; ALTER TABLE circular ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON circular USING (EXISTS (SELECT FROM circular c WHERE c.id = 1))""",
        500, "collection-broken", "refers to itself", "refers to itself",
    ),
    "policed": (
        f"""CREATE TABLE policed {TABLE}; INSERT INTO policed VALUES (1, 'SRID=4326;POINT(1 1)');
        ALTER TABLE policed ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON policed USING (1 / (id - 1) = 0)""",
        500, "unreadable-value", "cannot", "cannot compute",
    ),
    "writing": (
        "CREATE VIEW writing AS SELECT id, writes() AS n, geom FROM plain",
        500, "collection-broken", "write", "write",
    ),
    "remote_gone": (
        ("CREATE FOREIGN TABLE remote_gone (id int, geom geometry(Point, 4326)) SERVER self"
        " OPTIONS (table_name 'no_such')"),
        500, "collection-broken", "refuses", "refuses",
    ),
}  # fmt: skip


def _setup(server_url: str, database: str) -> str:
    parts = urlsplit(server_url)
    query = parse_qs(parts.query)
    host = query.get("host", [parts.hostname or ""])[0]
    port = query.get("port", [str(parts.port or 5432)])[0]
    return f"""
    SET client_min_messages = error;
    DO $$ BEGIN CREATE ROLE {ROLE} LOGIN PASSWORD 'faulty'; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
    CREATE EXTENSION postgres_fdw; CREATE EXTENSION file_fdw;
    CREATE TABLE plain {TABLE}; INSERT INTO plain SELECT i, ST_SetSRID(ST_Point(i, 1), 4326) FROM generate_series(1, 9) i;
    CREATE TABLE secret {TABLE};
    CREATE FUNCTION hidden(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;
    REVOKE EXECUTE ON FUNCTION hidden(int) FROM public;
    CREATE FUNCTION reads_what_is_gone() RETURNS int LANGUAGE plpgsql AS
      $$ BEGIN RETURN (SELECT count(gone_column) FROM public.plain); END $$;
    CREATE TABLE notes (n int);
    CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS
      $$ BEGIN INSERT INTO public.notes VALUES (1); RETURN 1; END $$;
    CREATE SERVER dead FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{free_port()}', dbname 'x');
    CREATE SERVER dead_mapped FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{free_port()}', dbname 'x');
    CREATE USER MAPPING FOR public SERVER dead_mapped OPTIONS (user 'nobody', password 'x');
    CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname '{database}');
    CREATE USER MAPPING FOR public SERVER self OPTIONS (user '{parts.username}', password_required 'false');
    CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
    {"; ".join(each[0] for each in STATES.values())};
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ROLE}; REVOKE SELECT ON secret, notes FROM {ROLE};
    """


def _as_role(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{ROLE}:faulty@{parts.netloc.rpartition('@')[2]}").geturl()


@pytest.fixture(scope="module")
def broken_url(server_url: str, bare_module_url: str) -> str:
    """A database with every state, for a role that is no superuser."""
    execute(bare_module_url, _setup(server_url, urlsplit(bare_module_url).path.lstrip("/")))
    return _as_role(bare_module_url)


@asynccontextmanager
async def seen(*kinds: type[Event]) -> AsyncIterator[list[Event]]:
    """The events of a block."""
    events: list[Event] = []
    stop = subscribe(events.append, *kinds)
    try:
        yield events
    finally:
        stop()


@pytest.mark.parametrize("name", STATES)
async def test_an_expected_state_is_told_with_its_cause(
    service: Service, broken_url: str, name: str
) -> None:
    _, status, slug, word, _ = STATES[name]
    client = await service(broken_url, tables=[name, "plain"], collections={name: {"key": ["id"]}})
    await fetch(client, "/collections/plain/items")
    for path in (
        f"/collections/{name}/items",
        f"/collections/{name}/items/1",
        f"/collections/{name}/items",
    ):
        async with seen(CatalogLoaded, QueryEnded, ReadFailed, RequestFailed) as events:
            problem = await fetch(client, path, status=status)
        assert problem["type"] == f"urn:geosvc:problem:{slug}"
        assert word in problem["detail"]
        assert "secret" not in json.dumps(problem)
        assert [each for each in events if isinstance(each, CatalogLoaded)] == []
        assert [each.detail for each in events if isinstance(each, RequestFailed)] != []
    # the last request: its statement ran once, and the catalog was not looked at for it
    runs = [each.run.name for each in events if isinstance(each, QueryEnded)]
    asked = [
        each
        for each in runs
        if not each.startswith(("catalog", "driver", "probe", "session", "transaction"))
    ]
    assert asked == ["items.page"], runs
    assert len((await fetch(client, "/collections/plain/items"))["features"]) == 9


async def test_check_tells_every_expected_state_with_what_mends_it(broken_url: str) -> None:
    report = await Doctor(settings_for(broken_url), broken_url).examine()
    found = {each.subject: each for each in report.findings if each.code == "cannot-be-read"}
    assert {subject.removeprefix("public.") for subject in found} == set(STATES)
    for name, (*_, word) in STATES.items():
        finding = found[f"public.{name}"]
        assert word in f"{finding.text} {finding.sql}", name
    assert not [each for each in report.findings if each.code == "check-failed"]


async def test_what_is_mended_is_served_at_once(
    service: Service, bare_database_url: str, server_url: str
) -> None:
    setup = _setup(server_url, urlsplit(bare_database_url).path.lstrip("/"))
    await asyncio.to_thread(execute, bare_database_url, setup)
    client = await service(_as_role(bare_database_url))
    await fetch(client, "/collections/invoker/items", status=500)
    await fetch(client, "/collections/unfilled/items", status=503)
    mend = f"GRANT SELECT ON secret TO {ROLE}; REFRESH MATERIALIZED VIEW unfilled"
    await asyncio.to_thread(execute, bare_database_url, mend)
    await fetch(client, "/collections/invoker/items")
    assert len((await fetch(client, "/collections/unfilled/items"))["features"]) == 9


def _errors() -> Iterator[type[asyncpg.PostgresError]]:
    todo: list[type[asyncpg.PostgresError]] = [asyncpg.PostgresError]
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        if kind.sqlstate and len(kind.sqlstate) == 5:
            yield kind


async def _sessions(url: str) -> set[int]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'geosvc%' AND datname ="
            " current_database()"
        )
        return {row[0] for row in rows}
    finally:
        await connection.close()


async def test_no_sqlstate_that_a_function_raises_is_a_4xx_or_costs_a_connection(
    service: Service, bare_database_url: str
) -> None:
    states = sorted(
        {kind.sqlstate for kind in _errors()} - {"00000", "01000"}
        | {"GV001", "45000", "HV00N", "72000"}
    )
    await asyncio.to_thread(
        execute,
        bare_database_url,
        f"""CREATE FUNCTION complain(state text) RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = state; END $$;
        CREATE TABLE t AS SELECT state, ordinality::int AS id, 'SRID=4326;POINT(1 1)'::geometry(Point, 4326) AS geom
        FROM unnest('{{{",".join(states)}}}'::text[]) WITH ORDINALITY AS s (state);
        CREATE VIEW raising AS SELECT id, state, complain(state) AS n, geom FROM t; CREATE TABLE plain {TABLE}""",
    )
    client = await service(
        bare_database_url, collections={"raising": {"key": ["id"]}}, pool_min_size=1
    )
    await fetch(client, "/collections/plain/items")
    before = await _sessions(bare_database_url)
    wrong = []
    for number, state in enumerate(states, 1):
        async with client.get(f"/collections/raising/items/{number}") as response:
            problem = await response.json()
        if response.status < 500 or problem["detail"] == "see the log":
            wrong.append((state, problem))
    assert wrong == []
    assert before <= await _sessions(bare_database_url)
    await fetch(client, "/collections/plain/items")


def test_the_table_of_sqlstates_in_the_docs_is_that_of_the_code() -> None:
    page = (Path(__file__).parent.parent / "docs" / "operations.md").read_text("utf-8")
    rows = [
        f"| {state} | {kind.status} `{kind.slug}` | {detail} |"
        for state, (kind, detail) in sorted({**READ_CLASSES, **READ_STATES}.items())
    ]
    assert [row for row in rows if row not in page] == []

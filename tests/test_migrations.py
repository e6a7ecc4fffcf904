"""The migrations: up, down and up again, one at a time, bounded, and never at the cost of what is
the user's.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from geosvc.commands.samples import TABLES
from geosvc.database.changefeed.publishing import publish, unpublish
from geosvc.database.migrations import (
    Migration,
    MigrationLimits,
    migrate_down,
    migrate_up,
    migration_status,
)
from geosvc.errors import MigrationError
from geosvc.settings import Settings

ROOT = Path(__file__).parent.parent
EXPECTED_SCHEMA = Path(__file__).parent / "expected_schema.txt"
PATIENCE_SECONDS = 30
SETTINGS = Settings()

# Every object of the two schemas as one line; grants are those to others than the owner, whose name
# is the server's.
DESCRIBE = r"""
WITH place AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname IN ('geosvc', 'geosvc_functions')),
relation AS (
    SELECT c.*, n.nspname || '.' || c.relname AS called FROM pg_class c JOIN place n ON n.oid = c.relnamespace
)
SELECT line FROM (
    SELECT 'schema ' || nspname || coalesce(' -- ' || obj_description(oid, 'pg_namespace'), '') AS line FROM place
    UNION ALL
    SELECT 'grant ' || acl.privilege_type || ' on ' || on_what || ' to ' || CASE acl.grantee WHEN 0 THEN 'public'
        ELSE acl.grantee::regrole::text END
    FROM (
        SELECT 'schema ' || nspname AS on_what, nspowner AS owner, nspacl AS acls FROM place
        UNION ALL SELECT called, relowner, relacl FROM relation
    ) held, aclexplode(held.acls) acl WHERE acl.grantee <> held.owner
    UNION ALL
    SELECT 'relation ' || called || ' kind ' || relkind::text || ' persistence ' || relpersistence::text
        || CASE WHEN relrowsecurity THEN ' row security' ELSE '' END || coalesce(' ' || reloptions::text, '')
        || coalesce(' -- ' || obj_description(oid, 'pg_class'), '') FROM relation
    UNION ALL
    SELECT 'column ' || called || '.' || attname || ' ' || format_type(atttypid, atttypmod)
        || CASE WHEN attnotnull THEN ' not null' ELSE '' END || CASE attidentity WHEN '' THEN '' ELSE ' identity' END
        || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
        || coalesce(' -- ' || col_description(relation.oid, attnum), '')
    FROM relation JOIN pg_attribute a ON a.attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
        AND relkind NOT IN ('i', 'I', 'S')
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT 'view ' || called || ' ' || pg_get_viewdef(oid) FROM relation WHERE relkind IN ('v', 'm')
    UNION ALL
    SELECT 'index ' || pg_get_indexdef(oid) FROM relation WHERE relkind IN ('i', 'I')
    UNION ALL  -- PostgreSQL 18 lists NOT NULL as constraints, too
    SELECT 'constraint ' || called || '.' || conname || ' ' || pg_get_constraintdef(t.oid)
    FROM relation JOIN pg_constraint t ON t.conrelid = relation.oid AND t.contype <> 'n'
    UNION ALL
    SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM relation JOIN pg_trigger t ON t.tgrelid = relation.oid
    WHERE NOT tgisinternal
    UNION ALL
    SELECT 'policy ' || called || '.' || polname || ' ' || coalesce(pg_get_expr(polqual, polrelid), '') || ' check '
        || coalesce(pg_get_expr(polwithcheck, polrelid), '') FROM relation JOIN pg_policy p ON p.polrelid = relation.oid
    UNION ALL
    SELECT 'function ' || CASE prokind WHEN 'a' THEN p.oid::regprocedure::text ELSE pg_get_functiondef(p.oid) END
    FROM pg_proc p JOIN place n ON n.oid = p.pronamespace
    UNION ALL
    SELECT 'type ' || n.nspname || '.' || typname || ' ' || typtype::text || coalesce(' ' || (
        SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid), '')
    FROM pg_type t JOIN place n ON n.oid = t.typnamespace WHERE typtype IN ('e', 'd', 'r', 'm')
) described ORDER BY line COLLATE "C"
"""
WAITING_FOR_ADVISORY = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def ask(url: str, sql: str) -> list[str | None]:
    """The first column, text, of what a query finds."""

    async def run() -> list[str | None]:
        async with connected(url) as connection:
            return [row[0] for row in await connection.fetch(sql)]

    return asyncio.run(run())


def do(url: str, *statements: str) -> None:
    """Runs statements of the test's own."""

    async def run() -> None:
        async with connected(url) as connection:
            for statement in statements:
                await connection.execute(statement)

    asyncio.run(run())


def schemas(url: str) -> list[str | None]:
    """The schemas of the two that are there."""
    return ask(
        url, "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'geosvc%' ORDER BY 1"
    )


def everything(url: str) -> list[str | None]:
    """All relations, functions, types and schemas of the database, by name."""
    return ask(
        url,
        "SELECT identity FROM (SELECT 'pg_class'::regclass AS class, oid FROM pg_class UNION ALL "
        "SELECT 'pg_proc'::regclass, oid FROM pg_proc UNION ALL SELECT 'pg_type'::regclass, oid"
        " FROM pg_type UNION ALL "
        "SELECT 'pg_namespace'::regclass, oid FROM pg_namespace) o, pg_identify_object(o.class,"
        " o.oid, 0) "
        "WHERE identity !~ '^pg_(toast|temp)' ORDER BY 1",
    )


def checkout(folder: Path, *revisions: str) -> Path:
    """A copy of the checkout with the first revision and others behind it, each of the phase named,
    that make the tables t2, t3, …
    """
    ignore = shutil.ignore_patterns("__pycache__", "000[2-9]_*.py")
    for name in ("geosvc", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for number, phase in enumerate(revisions, 2):
        made = run_python(
            folder,
            "from geosvc.database.migrations import new_migration",
            f"print(new_migration('add-t{number}'))",
        )
        script = Path(made.stdout.strip())
        text = script.read_text("utf-8").replace('phase = "expand"', f'phase = "{phase}"')
        for statement in (f"CREATE TABLE geosvc.t{number} ()", f"DROP TABLE geosvc.t{number}"):
            text = text.replace('op.execute("")', f'op.execute("{statement}")', 1)
        script.write_text(text, "utf-8")
    return folder


def python_command(*lines: str) -> list[str]:
    """A Python that runs lines after it has imported what migrates."""
    imports = (
        "from geosvc.database.migrations import migrate_down, migrate_up, migration_status",
        "from geosvc.settings import Settings",
        (
            "def told(migrations): print('"
            " '.join(f'{m.revision}:{m.phase}:{int(m.applied)}' for m in"
            " migrations))"
        ),
    )
    return [sys.executable, "-W", "error", "-c", "\n".join((*imports, *lines))]


def run_python(
    path: Path, *lines: str, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs lines with the geosvc in `path`, which has to say nothing on stderr."""
    environment = os.environ | {"PYTHONPATH": str(path)}
    done = subprocess.run(
        python_command(*lines),
        env=environment,
        cwd=cwd or path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done


def test_up_down_and_up_again_end_where_they_should(bare_database_url: str) -> None:
    before = everything(bare_database_url)
    status = migration_status(SETTINGS, bare_database_url)
    assert status
    assert not any(each.applied for each in status)
    assert everything(bare_database_url) == before

    applied = tuple(replace(each, applied=True) for each in status)
    assert migrate_up(SETTINGS, bare_database_url) == applied
    assert migration_status(SETTINGS, bare_database_url) == applied
    described = ask(bare_database_url, DESCRIBE)

    assert migrate_down(SETTINGS, bare_database_url, "base") == status[::-1]
    assert everything(bare_database_url) == before
    assert migration_status(SETTINGS, bare_database_url) == status

    assert migrate_up(SETTINGS, bare_database_url) == applied
    assert ask(bare_database_url, DESCRIBE) == described


def test_each_single_revision_goes_up_down_and_up(tmp_path: Path, bare_database_url: str) -> None:
    folder = checkout(tmp_path, "expand", "contract")
    call = f"(Settings(), {bare_database_url!r}"
    up = run_python(folder, f"told(migrate_up{call}))").stdout
    assert up == "0001:expand:1 0002:expand:1 0003:contract:1\n"
    assert run_python(folder, f"told(migrate_down{call}))").stdout == "0003:contract:0\n"
    assert run_python(folder, f"told(migrate_down{call}, '0001'))").stdout == "0002:expand:0\n"
    assert (
        run_python(folder, f"told(migrate_up{call}))").stdout == "0002:expand:1 0003:contract:1\n"
    )
    assert (
        run_python(folder, f"told(migrate_down{call}, '-2'))").stdout
        == "0003:contract:0 0002:expand:0\n"
    )


def test_the_change_log_is_not_dropped_under_a_table_that_writes_to_it(
    bare_database_url: str,
) -> None:
    migrate_up(SETTINGS, bare_database_url)
    do(bare_database_url, "CREATE TABLE places (id int PRIMARY KEY, geom geometry)")
    asyncio.run(publish(SETTINGS, bare_database_url, "places"))
    with pytest.raises(MigrationError) as caught:
        migrate_down(SETTINGS, bare_database_url, "0002")
    assert str(caught.value) == "migration 0003 failed: unpublish first: public.places (55006)"
    do(bare_database_url, "INSERT INTO places VALUES (1)")
    asyncio.run(unpublish(SETTINGS, bare_database_url, "places"))
    assert [each.revision for each in migrate_down(SETTINGS, bare_database_url, "0002")] == ["0003"]
    assert (
        ask(
            bare_database_url,
            "SELECT relname::text FROM pg_class WHERE relname ~ '^(change|publication)'",
        )
        == []
    )
    assert [each.revision for each in migrate_up(SETTINGS, bare_database_url)] == ["0003"]


def test_a_second_up_has_nothing_to_do(bare_database_url: str) -> None:
    assert migrate_up(SETTINGS, bare_database_url)
    assert migrate_up(SETTINGS, bare_database_url) == ()


def test_the_migrated_schema_is_the_expected_one(bare_database_url: str, tmp_path: Path) -> None:
    migrate_up(SETTINGS, bare_database_url)
    described = "".join(f"{line}\n" for line in ask(bare_database_url, DESCRIBE))
    (found := tmp_path / EXPECTED_SCHEMA.name).write_text(described, "utf-8")
    assert described == EXPECTED_SCHEMA.read_text("utf-8"), (
        f"if the change is meant: cp {found} {EXPECTED_SCHEMA}"
    )


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE geosvc.stray (id int)",
        "COMMENT ON SCHEMA geosvc IS 'other'",
        "GRANT USAGE ON SCHEMA geosvc TO public",
        "CREATE TYPE geosvc.mood AS ENUM ('well')",
        "CREATE FUNCTION geosvc.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE geosvc.alembic_version ADD CONSTRAINT c CHECK (version_num <> '')",
    ],
)
def test_drift_does_not_go_unnoticed(bare_database_url: str, change: str) -> None:
    migrate_up(SETTINGS, bare_database_url)
    do(bare_database_url, change)
    assert "".join(
        f"{line}\n" for line in ask(bare_database_url, DESCRIBE)
    ) != EXPECTED_SCHEMA.read_text("utf-8")


def test_every_revision_says_its_phase_and_has_a_title(bare_database_url: str) -> None:
    status = migration_status(SETTINGS, bare_database_url)
    assert [each.revision for each in status] == [
        f"{number:04}" for number in range(1, len(status) + 1)
    ]
    assert all(each.phase in ("expand", "contract") and each.title for each in status)


def test_a_revision_without_a_phase_is_refused_before_anything_runs(
    tmp_path: Path, bare_database_url: str
) -> None:
    folder = checkout(tmp_path, "neither")
    lines = f"try: migrate_up(Settings(), {bare_database_url!r})\nexcept Exception as error: print(repr(error))"
    told = run_python(folder, lines).stdout
    assert (
        told
        == "MigrationError('migration 0002 does not say whether its phase is expand or contract')\n"
    )
    assert schemas(bare_database_url) == []


def test_expand_only_stops_before_the_first_revision_that_contracts(
    tmp_path: Path, bare_database_url: str
) -> None:
    folder = checkout(tmp_path, "expand", "contract", "expand")
    call = f"(Settings(), {bare_database_url!r}"
    expanded = run_python(folder, f"told(migrate_up{call}, expand_only=True))").stdout
    assert expanded == "0001:expand:1 0002:expand:1\n"
    told = run_python(folder, f"told(migration_status{call}))").stdout
    assert told == "0001:expand:1 0002:expand:1 0003:contract:0 0004:expand:0\n"
    assert (
        run_python(folder, f"told(migrate_up{call}))").stdout == "0003:contract:1 0004:expand:1\n"
    )


async def test_a_migration_that_meets_a_lock_gives_up_in_time_and_changes_nothing(
    bare_database_url: str,
) -> None:
    async with connected(bare_database_url) as other:
        await other.execute("CREATE SCHEMA geosvc")
        transaction = other.transaction()
        await transaction.start()
        await other.execute("COMMENT ON SCHEMA geosvc IS 'locks the schema'")
        began = time.monotonic()
        with pytest.raises(MigrationError) as caught:
            await asyncio.to_thread(
                migrate_up,
                SETTINGS,
                bare_database_url,
                limits=MigrationLimits(lock_seconds=0.3, statement_seconds=10),
            )
        assert 0.3 <= time.monotonic() - began < 5
        assert str(caught.value) == (
            "migration 0001 failed: it waited 0.3 s for a lock that somebody else holds; try again"
        )
        await transaction.rollback()
        assert await other.fetchval("SELECT to_regclass('geosvc.alembic_version')") is None
        assert await asyncio.to_thread(migrate_up, SETTINGS, bare_database_url)


def test_a_statement_that_takes_too_long_is_ended_and_its_migration_undone(
    tmp_path: Path, bare_database_url: str
) -> None:
    folder = checkout(tmp_path, "expand")
    (script,) = (folder / "migrations/versions").glob("0002_*.py")
    slow = 'op.execute("CREATE TABLE geosvc.t2 (); SELECT pg_sleep(60)"'
    slow = slow.replace("; SELECT", '")\n    op.execute("SELECT')
    script.write_text(
        script.read_text("utf-8").replace('op.execute("CREATE TABLE geosvc.t2 ()"', slow), "utf-8"
    )
    told = run_python(
        folder,
        "from geosvc.database.migrations import MigrationLimits",
        f"url = {bare_database_url!r}",
        "try: migrate_up(Settings(), url, limits=MigrationLimits(statement_seconds=0.5))",
        "except Exception as error: print(repr(error))",
        "told(migration_status(Settings(), url))",
    ).stdout.splitlines()
    assert told == [
        "MigrationError('migration 0002 failed: a statement took longer than 0.5 s')",
        "0001:expand:1 0002:expand:0",
    ]
    assert ask(bare_database_url, "SELECT to_regclass('geosvc.t2')::text") == [None]


async def _until_waiting(connection: asyncpg.Connection, commands: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await connection.fetchval(WAITING_FOR_ADVISORY) < commands:
            await asyncio.sleep(0.02)  # the server signals no waiting lock


async def test_two_ups_at_once_share_the_work(tmp_path: Path, bare_database_url: str) -> None:
    folder = checkout(tmp_path, "expand", "expand")
    lock = re.search(
        r"^ADVISORY_LOCK = (\w+)", (ROOT / "migrations/env.py").read_text("utf-8"), re.MULTILINE
    )
    assert lock
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = python_command(f"told(migrate_up(Settings(), {bare_database_url!r}))")
    pipe = asyncio.subprocess.PIPE
    async with connected(bare_database_url) as other:
        await other.execute(f"SELECT pg_advisory_lock({int(lock[1], 16)})")
        both = [
            await asyncio.create_subprocess_exec(
                *command, env=environment, cwd=folder, stdout=pipe, stderr=pipe
            )
            for _ in range(2)
        ]
        await _until_waiting(other, 2)
        await other.execute("SELECT pg_advisory_unlock_all()")
        async with asyncio.timeout(PATIENCE_SECONDS):
            told = [await each.communicate() for each in both]
        assert [each.returncode for each in both] == [0, 0]
        assert [errors for _, errors in told] == [b"", b""]
        applied = sorted(word for output, _ in told for word in output.split())
        assert applied == [b"0001:expand:1", b"0002:expand:1", b"0003:expand:1"]
        assert (
            await other.fetchval("SELECT string_agg(version_num, ',') FROM geosvc.alembic_version")
            == "0003"
        )


async def test_waiting_for_another_command_ends_in_time(bare_database_url: str) -> None:
    env = (ROOT / "migrations/env.py").read_text("utf-8")
    lock = re.search(r"^ADVISORY_LOCK = (\w+)", env, re.MULTILINE)
    assert lock
    async with connected(bare_database_url) as other:
        await other.execute(f"SELECT pg_advisory_lock({int(lock[1], 16)})")
        with pytest.raises(
            MigrationError, match=r"^another migration has run for 0\.3 s; wait until it has ended$"
        ):
            await asyncio.to_thread(
                migrate_up,
                SETTINGS,
                bare_database_url,
                limits=MigrationLimits(statement_seconds=0.3),
            )
        assert not any(
            each.applied
            for each in await asyncio.to_thread(migration_status, SETTINGS, bare_database_url)
        )


def test_down_leaves_the_functions_of_the_user(bare_database_url: str) -> None:
    migrate_up(SETTINGS, bare_database_url)
    do(
        bare_database_url,
        "CREATE FUNCTION geosvc_functions.near() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1'",
    )
    migrate_down(SETTINGS, bare_database_url, "base")
    assert schemas(bare_database_url) == ["geosvc_functions"]
    assert ask(bare_database_url, "SELECT geosvc_functions.near()::text") == ["1"]
    migrate_up(SETTINGS, bare_database_url)
    assert ask(bare_database_url, "SELECT geosvc_functions.near()::text") == ["1"]


def test_a_functions_schema_that_was_there_before_is_the_users_own(bare_database_url: str) -> None:
    do(
        bare_database_url,
        "CREATE SCHEMA geosvc_functions",
        "COMMENT ON SCHEMA geosvc_functions IS 'mine'",
    )
    migrate_up(SETTINGS, bare_database_url)
    migrate_down(SETTINGS, bare_database_url, "base")
    comment = "SELECT obj_description('geosvc_functions'::regnamespace, 'pg_namespace')"
    assert ask(bare_database_url, comment) == ["mine"]


def test_down_refuses_to_drop_what_somebody_else_put_into_the_schema(
    bare_database_url: str,
) -> None:
    migrate_up(SETTINGS, bare_database_url)
    do(bare_database_url, "CREATE TABLE geosvc.theirs (id int)")
    with pytest.raises(MigrationError, match="an object that geosvc did not make is in the way"):
        migrate_down(SETTINGS, bare_database_url, "base")
    assert migration_status(SETTINGS, bare_database_url)[0].applied
    assert ask(bare_database_url, "SELECT to_regclass('geosvc.theirs')::text") == ["geosvc.theirs"]


def test_down_refuses_what_is_not_applied_and_base_twice_is_harmless(
    bare_database_url: str,
) -> None:
    for revision in ("-1", "0001", "no; such"):
        with pytest.raises(
            MigrationError, match=r"^cannot go down to .*: 0 migrations are applied$"
        ):
            migrate_down(SETTINGS, bare_database_url, revision)
    assert migrate_down(SETTINGS, bare_database_url, "base") == ()
    assert schemas(bare_database_url) == []


def test_a_database_of_a_newer_geosvc_is_left_alone(bare_database_url: str) -> None:
    migrate_up(SETTINGS, bare_database_url)
    do(bare_database_url, "UPDATE geosvc.alembic_version SET version_num = '9999'")
    for command in (migrate_up, migrate_down, migration_status):
        with pytest.raises(
            MigrationError,
            match=r"^the database is at revision 9999, made by a newer geosvc than this",
        ):
            command(SETTINGS, bare_database_url)


def test_a_role_that_may_not_make_schemas_is_told_so(bare_database_url: str) -> None:
    role = f"geosvc_weak_{os.getpid()}"
    do(bare_database_url, f"CREATE ROLE {role} LOGIN PASSWORD 'sEcret'")
    try:
        weak = re.sub(r"//([^/@]*@)?", f"//{role}:sEcret@", bare_database_url, count=1)
        with pytest.raises(MigrationError) as caught:
            migrate_up(SETTINGS, weak)
        told = str(caught.value)
        assert re.fullmatch(
            r"the database role may not do it: permission denied for database \S+", told
        )
    finally:
        do(bare_database_url, f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:sEcret@127.0.0.1:1/x",
        "postgresql://me:sE/cret@h:12/x",
        "postgresql://me:sEcret@[::1]:1/x",
    ],
)
def test_a_database_that_cannot_be_reached_is_one_line_without_the_password(url: str) -> None:
    with pytest.raises(MigrationError) as caught:
        migration_status(Settings(db_ssl_mode="disable"), url)
    assert re.fullmatch(
        r"the database (cannot be reached|URL cannot be used)(: [\w ]+)?", str(caught.value)
    )


def test_a_settled_default_of_the_role_does_not_get_in_the_way(bare_database_url: str) -> None:
    database = ask(bare_database_url, "SELECT current_database()::text")[0]
    for setting in (
        "default_transaction_isolation = 'serializable'",
        "statement_timeout = '5s'",
        "lock_timeout = '1ms'",
    ):
        do(bare_database_url, f'ALTER DATABASE "{database}" SET {setting}')
    assert migrate_up(SETTINGS.model_copy(update={"pgbouncer": True}), bare_database_url)


@pytest.mark.slow
def test_an_installed_wheel_brings_its_migrations_and_the_demo(
    tmp_path: Path, bare_database_url: str
) -> None:
    wheels, site, elsewhere = tmp_path / "wheels", tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=100,
    )
    (wheel,) = wheels.glob("*.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
    ]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True, timeout=100)
    told = run_python(
        site,
        "import geosvc; print(geosvc.__file__)",
        f"told(migration_status(Settings(), {bare_database_url!r}))",
        f"told(migrate_up(Settings(), {bare_database_url!r}))",
        cwd=elsewhere,
    ).stdout.splitlines()
    pending = migration_status_words(migration_status(SETTINGS, bare_database_url))
    assert told == [str(site / "geosvc/__init__.py"), pending.replace(":1", ":0"), pending]
    # and what `geosvc demo` loads and shows
    held = {
        each.name
        for folder in ("sample_data", "static/vendor")
        for each in (site / "geosvc" / folder).iterdir()
    }
    wanted = {
        "sample.sql",
        "sketches.sql",
        "maplibre-gl.mjs",
        "swagger-ui.css",
        *(f"{each}.csv.gz" for each in TABLES),
    }
    assert wanted <= held
    run_python(
        site,
        "from geosvc.commands.samples import samples_folder",
        "assert samples_folder().name == 'sample_data'",
        cwd=elsewhere,
    )


def migration_status_words(status: tuple[Migration, ...]) -> str:
    """The words that `told` prints."""
    return " ".join(f"{each.revision}:{each.phase}:{int(each.applied)}" for each in status)

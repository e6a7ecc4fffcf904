"""The doctor: each thing is broken on a real database and found; where there is SQL that mends it,
it is run, and the finding is gone.
"""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from geosvc.advice.server_findings import judge_connections, judge_pooler, judge_server, judge_skew
from geosvc.cli import main
from tests.conftest import execute
from tests.pooler import PGBOUNCER

RING_WITHOUT_POINTS = (
    "0103000020E61000000100000000000000"  # EWKB of a polygon, which no text can say
)
PASSWORD = "s3cret-passw0rd"
HEALTHY = f"""
DROP ROLE IF EXISTS patient;
CREATE ROLE patient LOGIN PASSWORD '{PASSWORD}';
CREATE TABLE points (id int PRIMARY KEY, name text, at timestamptz, geom geometry(Point, 4326));
INSERT INTO points SELECT i, md5(i::text), now(), ST_SetSRID(ST_Point(i % 100 / 100.0, i / 100 / 100.0), 4326)
FROM generate_series(1, 3000) i;
CREATE INDEX points_geom ON points USING gist (geom);
GRANT SELECT ON points TO patient;
"""


@pytest.fixture
def healthy_url(bare_database_url: str) -> str:
    """A database with nothing wrong, by a role that may only read; the superuser's DSN is
    `bare_database_url`.
    """
    execute(bare_database_url, HEALTHY)
    execute(
        bare_database_url, "ANALYZE points"
    )  # by itself: what was inserted in its own transaction counts as a change
    parts = urlsplit(bare_database_url)
    return parts._replace(netloc=f"patient:{PASSWORD}@{parts.netloc.rpartition('@')[2]}").geturl()


def check(url: str, *options: str, **settings: str) -> Result:
    """`geosvc check`; its output holds no password, whatever it says."""
    environment = {f"GEOSVC_{name.upper()}": value for name, value in settings.items()}
    # in this process: to start the program takes longer than to examine the database
    run = CliRunner(env=environment).invoke(main, ["check", "--database-url", url, *options])
    assert PASSWORD not in run.output
    assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
    return run


def findings(url: str, **settings: str) -> dict[str, dict[str, str]]:
    """The findings by code; of several of one code the first."""
    run = check(url, "--json", **settings)
    document = json.loads(run.stdout)
    assert run.exit_code == any(each["severity"] == "error" for each in document["findings"])
    found: dict[str, dict[str, str]] = {}
    for each in document["findings"]:
        found.setdefault(each["code"], each)
    return found


def mend(url: str, sql: str) -> None:
    """Runs the SQL of a finding as somebody would who pastes it."""
    for command in sql.split("; "):
        execute(url, command)


def test_nothing_is_found_where_nothing_is_wrong(healthy_url: str) -> None:
    found = findings(healthy_url)
    assert {code for code, each in found.items() if each["severity"] != "info"} == set()
    assert set(found) <= {"pending-migrations"}
    run = check(healthy_url)
    assert run.exit_code == 0
    assert "1 collections examined: 0 error, 0 warning" in run.stdout


BROKEN = [
    ("missing-spatial-index", "DROP INDEX points_geom"),
    ("no-key", "ALTER TABLE points DROP CONSTRAINT points_pkey"),
    (
        "unknown-srid",
        """CREATE TABLE mute (id int PRIMARY KEY, geom geometry);
        INSERT INTO mute SELECT id, ST_SetSRID(geom, 3067) FROM points;
        CREATE INDEX ON mute USING gist (geom); ANALYZE mute; GRANT SELECT ON mute TO patient""",
    ),
    (
        "mixed-srids",
        """CREATE TABLE mixed (id int PRIMARY KEY, geom geometry); ANALYZE mixed; GRANT SELECT ON mixed TO patient;
        INSERT INTO mixed VALUES (1, 'SRID=4326;POINT(1 1)'), (2, 'SRID=3857;POINT(1 1)')""",
    ),
    (
        "invalid-geometries",
        """CREATE TABLE bows (id int PRIMARY KEY, geom geometry(MultiPolygon, 4326)); GRANT SELECT ON bows TO patient;
        INSERT INTO bows VALUES (1, 'SRID=4326;MULTIPOLYGON(((0 0, 1 1, 1 0, 0 1, 0 0)))'); ANALYZE bows""",
    ),
    (
        "geometries-without-points",
        f"""CREATE TABLE pointless (id int PRIMARY KEY, geom geometry(Geometry, 4326)); ANALYZE pointless;
        GRANT SELECT ON pointless TO patient;
        INSERT INTO pointless VALUES (1, '{RING_WITHOUT_POINTS}'), (2, 'SRID=4326;POLYGON EMPTY')""",
    ),
    (
        "stale-statistics",
        """CREATE TABLE fresh (id int PRIMARY KEY, geom geometry(Point, 4326)) WITH (autovacuum_enabled = off);
        INSERT INTO fresh SELECT id, geom FROM points; CREATE INDEX ON fresh USING gist (geom);
        GRANT SELECT ON fresh TO patient""",
    ),
    ("not-readable", "REVOKE SELECT ON points FROM patient"),
    ("no-usage", "REVOKE USAGE ON SCHEMA public FROM PUBLIC"),
    ("role-may-write", "GRANT INSERT ON points TO patient"),
]


@pytest.mark.parametrize(("code", "damage"), BROKEN, ids=[code for code, _ in BROKEN])
def test_what_is_broken_is_found_and_mended_by_its_sql(
    bare_database_url: str, healthy_url: str, code: str, damage: str
) -> None:
    assert code not in findings(healthy_url)
    execute(bare_database_url, damage)
    found = findings(healthy_url)
    assert code in found, found
    mend(bare_database_url, found[code]["sql"])
    again = findings(healthy_url)
    assert code not in again, again[code]


def test_an_index_that_was_not_finished_is_found_and_mended(
    bare_database_url: str, healthy_url: str
) -> None:
    execute(
        bare_database_url,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'points_geom'::regclass",
    )
    found = findings(healthy_url)["invalid-index"]
    mend(bare_database_url, found["sql"])
    assert "invalid-index" not in findings(healthy_url)
    assert "missing-spatial-index" not in findings(healthy_url)


def test_a_database_without_postgis_is_an_error(server_url: str, bare_database_url: str) -> None:
    execute(bare_database_url, "DROP EXTENSION postgis CASCADE")
    assert findings(bare_database_url)["no-postgis"]["severity"] == "error"
    mend(bare_database_url, findings(bare_database_url)["no-postgis"]["sql"])
    assert "no-postgis" not in findings(bare_database_url)


PUBLISHED = (
    "GRANT USAGE ON SCHEMA geosvc TO patient; GRANT SELECT, DELETE ON geosvc.change TO patient;"
)
PUBLISHED += "GRANT SELECT, UPDATE ON geosvc.publication TO patient"


@pytest.mark.parametrize(
    ("code", "broken", "told", "mended"),
    [
        (
            "publication-incomplete",
            "ALTER TABLE points DISABLE TRIGGER geosvc_insert",
            "points are not logged",
            "publish",
        ),
        (
            "publication-incomplete",
            "CREATE TABLE more () INHERITS (points)",
            "changes of more are not logged",
            "publish",
        ),
        (
            "publication-outdated",
            "ALTER TABLE points ADD note text",
            "its column note is not logged",
            "publish",
        ),
        (
            "publication-outdated",
            "ALTER TABLE points RENAME at TO since",
            "no column at any more",
            "publish",
        ),
        (
            "publication-outdated",
            "ALTER TABLE points DROP CONSTRAINT points_pkey, ADD PRIMARY KEY (name, id)",
            "its key is name, id, and changes are logged by id",
            "publish",
        ),
        ("publication-orphaned", "DROP TABLE points", "is gone, and its functions are left", "sql"),
        (
            "publication-orphaned",
            "DROP TABLE points",
            "is gone, and its functions are left",
            "unpublish",
        ),
        (
            "change-log-not-readable",
            "REVOKE USAGE ON SCHEMA geosvc FROM patient",
            "may not read the log",
            "sql",
        ),
        (
            "change-log-not-readable",
            "REVOKE SELECT ON geosvc.publication FROM patient",
            "may not read the log",
            "sql",
        ),
        (
            "change-log-not-pruned",
            "REVOKE DELETE ON geosvc.change FROM patient",
            "the log grows",
            "sql",
        ),
        (
            "change-log-not-pruned",
            "UPDATE geosvc.change SET at = now() - interval '9 days'",
            "216 hours old",
            "",
        ),
    ],
)
def test_what_is_wrong_with_a_publication_is_found_and_mended(
    bare_database_url: str, healthy_url: str, code: str, broken: str, told: str, mended: str
) -> None:
    def run(command: str, *arguments: str) -> None:
        result = CliRunner().invoke(
            main, [command, *arguments, "--database-url", bare_database_url]
        )
        assert result.exit_code == 0, result.output

    def wrong() -> dict[str, dict[str, str]]:
        return {
            name: each
            for name, each in findings(healthy_url).items()
            if name.startswith(("publication", "change-log"))
        }

    run("migrate", "up")
    run("publish", "points")
    execute(bare_database_url, PUBLISHED)
    assert wrong() == {}
    execute(bare_database_url, broken)
    found = wrong()
    # no key holds for a parent and its children together, so the key that changes were logged by is
    # another one too
    also = {"publication-outdated"} if "INHERITS" in broken else set()
    assert set(found) == {code} | also
    assert told in found[code]["text"]
    if mended == "sql":
        mend(bare_database_url, found[code]["sql"])
    elif mended:
        assert mended == "unpublish" or found[code]["text"].endswith("geosvc publish points")
        run(mended, "points")
    assert not mended or wrong() == {}


def test_a_superuser_is_told_so(bare_database_url: str, healthy_url: str) -> None:
    assert "superuser" in findings(bare_database_url)
    assert "superuser" not in findings(healthy_url)


def test_a_view_without_a_key_is_told_the_setting(bare_database_url: str, healthy_url: str) -> None:
    execute(
        bare_database_url,
        "CREATE VIEW seen AS SELECT * FROM points; GRANT SELECT ON seen TO patient",
    )
    found = findings(healthy_url)["no-key"]
    assert found["severity"] == "info"
    assert "collections.seen.key" in found["text"]


NO_KEYS = {
    "nullable": ("CREATE UNIQUE INDEX one ON nullable (k)", "one lets k be NULL"),
    "partly": (
        (
            "ALTER TABLE partly ALTER k SET NOT NULL; CREATE UNIQUE INDEX two ON partly"
            " (k) WHERE k >"
            " 0"
        ),
        "two contains only some",
    ),
    "computed": ("CREATE UNIQUE INDEX three ON computed ((k + 1))", "three is of expressions"),
    "late": (
        "ALTER TABLE late ADD CONSTRAINT four PRIMARY KEY (k) DEFERRABLE",
        "four is deferrable",
    ),
    "broken": (
        (
            "CREATE UNIQUE INDEX five ON broken (k); UPDATE pg_index SET indisvalid = false WHERE"
            " indexrelid = 'five'::regclass"
        ),
        "five is invalid",
    ),
    "parent": (
        "ALTER TABLE parent ADD PRIMARY KEY (k); CREATE TABLE child () INHERITS (parent)",
        "child tables may repeat",
    ),
}


def test_why_an_index_makes_no_ids_is_told(bare_database_url: str, healthy_url: str) -> None:
    for name, (sql, _) in NO_KEYS.items():
        execute(
            bare_database_url,
            f"CREATE TABLE {name} (k int, geom geometry); GRANT SELECT ON {name} TO patient; {sql}",
        )
    document = json.loads(check(healthy_url, "--json").stdout)
    texts = {
        each["subject"]: each["text"] for each in document["findings"] if each["code"] == "no-key"
    }
    for name, (_, text) in NO_KEYS.items():
        assert text in texts[f"public.{name}"]


def test_a_named_key_that_repeats_is_an_error(bare_database_url: str, healthy_url: str) -> None:
    twice = "CREATE VIEW twice AS TABLE points UNION ALL TABLE points LIMIT 3001; GRANT SELECT ON twice TO patient"
    execute(bare_database_url, twice)
    assert "repeated-key" not in findings(
        healthy_url, collections='{"twice": {"key": ["id", "geom"]}}'
    )
    found = findings(healthy_url, collections='{"twice": {"key": "id"}}')["repeated-key"]
    assert (found["severity"], found["subject"]) == ("error", "public.twice")
    assert "of which 1 values" in found["text"]


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ('{"nothing": {"key": ["id"]}}', "no-such-collection"),
        ('{"points": {"key": ["gid"]}}', "no-such-column"),
        ('{"points": {"datetime": ["name"]}}', "no-such-column"),
        ('{"points": {"key": ["id"], "datetime": ["at"]}}', None),
    ],
)
def test_settings_for_what_is_not_there_are_found(
    healthy_url: str, setting: str, code: str | None
) -> None:
    found = findings(healthy_url, collections=setting)
    assert {each for each in found if each.startswith("no-such")} == ({code} if code else set())


def test_a_schema_that_is_not_there_is_found(healthy_url: str) -> None:
    assert (
        findings(healthy_url, schemas="public,cadastre")["no-schema"]["subject"]
        == "schema cadastre"
    )


def test_more_connections_than_the_server_takes_are_found(healthy_url: str) -> None:
    assert "max-connections" in findings(healthy_url, workers="30", pool_max_size="50")
    assert "no-pooler" in findings(healthy_url, pgbouncer="true")


@pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")
def test_a_pooler_is_found_and_that_it_swallows_notifications(
    pooled_database: tuple[str, int],
) -> None:
    direct, port = pooled_database
    parts = urlsplit(direct)
    pooled = f"postgresql://{parts.username}@127.0.0.1:{port}/geosvc_pooled"
    found = findings(pooled, schemas="public,gis")
    assert found["pooler"]["severity"] == "error"
    told = findings(pooled, pgbouncer="true", direct_database_url=direct)
    assert "pooler" not in told
    assert "no-listen" not in told


def test_a_database_that_cannot_be_reached_is_an_error_of_one_line(healthy_url: str) -> None:
    url = f"postgresql://nobody:{PASSWORD}@127.0.0.1:1/nothing"
    assert findings(url, connect_seconds="2")["no-connection"]["severity"] == "error"
    run = check(url, connect_seconds="2")
    assert run.exit_code == 1
    assert "cannot be reached" in run.stdout


def test_a_table_that_cannot_be_sampled_stops_nothing(
    bare_database_url: str, healthy_url: str
) -> None:
    execute(
        bare_database_url,
        """CREATE TABLE locked (id int PRIMARY KEY, geom geometry(Point, 4326)); GRANT SELECT ON locked TO patient;
        ALTER TABLE locked ENABLE ROW LEVEL SECURITY; CREATE FUNCTION fails() RETURNS bool LANGUAGE plpgsql
        AS 'BEGIN RAISE EXCEPTION ''not you''; END'; CREATE POLICY p ON locked USING (fails());
        INSERT INTO locked VALUES (1, 'SRID=4326;POINT(0 0)'); ANALYZE locked; DROP INDEX points_geom""",
    )
    found = findings(healthy_url)
    assert found["cannot-be-read"]["subject"] == "public.locked"
    assert "missing-spatial-index" in found


def test_every_nasty_table_is_sampled_without_harm(nasty_database_url: str) -> None:
    assert "invalid-geometries" in findings(nasty_database_url)
    assert "check-failed" not in findings(nasty_database_url)


def test_old_versions_and_clocks_that_differ_are_judged() -> None:
    server = {"version": 130_010, "postgis": "2.5.1", "postgis_available": "3.3.2"}
    assert [each.code for each in judge_server(server)] == ["old-postgresql", "old-postgis"]
    server = {"version": 150_010, "postgis": "3.1.4", "postgis_available": "3.3.2"}
    assert [(each.code, each.sql) for each in judge_server(server)] == [
        ("postgis-behind", "ALTER EXTENSION postgis UPDATE")
    ]
    assert [each.severity for skew in (0.5, -2.0, 90.0) for each in judge_skew(skew)] == [
        "warning",
        "error",
    ]
    assert [each.code for told in (True, False) for each in judge_pooler(1, 2, told)] == ["pooler"]
    assert list(judge_connections(97, 97)) == []


def test_every_code_is_documented() -> None:
    root = Path(__file__).parent.parent
    package = root / "geosvc"
    files = [
        *package.glob("advice/*findings.py"),
        package / "database/doctor.py",
        package / "database/trial_reads.py",
        package / "commands/check.py",
    ]
    source = "".join(file.read_text("utf-8") for file in files)
    codes = set(re.findall(r'"(?:error|warning|info)",\s*"([a-z-]+)"', source)) | {"time-skew"}
    codes -= {"warning"}
    page = (root / "docs" / "check.md").read_text("utf-8")
    assert len(codes) > 20
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []

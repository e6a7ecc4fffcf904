"""Between an ALTER and the next look at the catalog: no answer tells of the new values in the old
words.
"""

import asyncio
import json
import re
from typing import Any

from geosvc.http.keys import CATALOG
from tests.conftest import Client, Service, execute

SETUP = """
CREATE TABLE {0} (id int PRIMARY KEY, n int NOT NULL, name text, at date, geom geometry(Point, 4326));
INSERT INTO {0} SELECT i, i, i::text, '2020-01-01'::date + i, ST_SetSRID(ST_Point(i, 45), 4326) FROM generate_series(1, 9) i;
CREATE INDEX ON {0} USING gist (geom); ANALYZE {0};
"""
VIEW = "CREATE VIEW v_{0} AS SELECT id, n, geom FROM {0};"
GEOGRAPHY = "ALTER TABLE {0} ALTER geom TYPE geography(Point, 4326)"
METRES = "ALTER TABLE {0} ALTER geom TYPE geometry(Point, 3857) USING ST_Transform(geom, 3857)"

NEW_TABLE = (
    "CREATE TABLE new AS TABLE {0}; ALTER TABLE new ADD PRIMARY KEY (id); ALTER TABLE {0} RENAME"
    " TO old; DROP TABLE old;"
    "ALTER TABLE new ALTER geom TYPE geometry(Point, 3857) USING ST_Transform(geom, 3857); ALTER"
    " TABLE new RENAME TO {0}"
)
NEW_COLUMN = (
    "ALTER TABLE {0} RENAME geom TO old; ALTER TABLE {0} ADD geom geometry(Point, 3857);"
    "UPDATE {0} SET geom = ST_Transform(old, 3857); ALTER TABLE {0} DROP old"
)
NEW_VIEW = (
    "DROP VIEW v_view; CREATE VIEW v_view AS"
    " SELECT id, n, ST_Transform(geom, 3857)::geometry(Point, 3857) AS geom FROM {0}"
)

# the collection: what makes it of the table, the DDL that alters it
ALTERED: dict[str, tuple[str, str]] = {
    "srid": ("", METRES),
    "srid_by_postgis": ("", "SELECT UpdateGeometrySRID('{0}', 'geom', 4258)"),
    "from_metres": (
        METRES,
        "ALTER TABLE {0} ALTER geom TYPE geometry(Point, 4326) USING ST_Transform(geom, 4326)",
    ),
    "other_zone": (
        METRES,
        "ALTER TABLE {0} ALTER geom TYPE geometry(Point, 32632) USING ST_Transform(geom, 32632)",
    ),
    "no_modifier": ("", "ALTER TABLE {0} ALTER geom TYPE geometry USING ST_Transform(geom, 3857)"),
    "modifier": ("ALTER TABLE {0} ALTER geom TYPE geometry", METRES),
    "v_view": ("CREATE VIEW v_view AS SELECT id, n, geom FROM {0}", NEW_VIEW),
    "other_column": ("", NEW_COLUMN),
    "other_table": ("", NEW_TABLE),
    "shape": (
        "",
        (
            "ALTER TABLE {0} ALTER geom TYPE geometry(MultiPoint, 3857) USING"
            " ST_Multi(ST_Transform(geom, 3857))"
        ),
    ),
    "dimension": (
        "",
        (
            "ALTER TABLE {0} ALTER geom TYPE geometry(PointZ, 3857) USING"
            " ST_Force3D(ST_Transform(geom, 3857))"
        ),
    ),
    "geographic": (
        GEOGRAPHY,
        (
            "ALTER TABLE {0} ALTER geom TYPE geometry(Point, 3857) USING"
            " ST_Transform(geom::geometry,"
            " 3857)"
        ),
    ),
    "to_geography": ("", GEOGRAPHY),
    "id_to_text": ("", """ALTER TABLE {0} ALTER id TYPE text USING 'a"' || id"""),
    "id_to_uuid": ("", "ALTER TABLE {0} ALTER id TYPE uuid USING md5(id::text)::uuid"),
    "number_to_text": ("", """ALTER TABLE {0} ALTER n TYPE text USING 'a,"' || n"""),
    "text_to_number": ("", "ALTER TABLE {0} ALTER name TYPE int USING id"),
    "date_to_text": ("", "ALTER TABLE {0} ALTER at TYPE text USING 'on, ' || at"),
    "new_key": (
        "",
        (
            "ALTER TABLE {0} DROP COLUMN id; ALTER TABLE {0} RENAME name TO id; ALTER TABLE {0} ADD"
            " PRIMARY KEY (id)"
        ),
    ),
}
PATHS = (
    "/collections/{}/items?limit=4",
    "/collections/{}/items?f=csv",
    "/collections/{}/items?bbox=0,44,10,46",
    "/collections/{}/items?filter=S_INTERSECTS(geom,BBOX(0,44,10,46))",
    "/collections/{}/items?crs=http://www.opengis.net/def/crs/EPSG/0/3857",
    "/collections/{}/items?sortby=-id&limit=3",
    "/collections/{}/export",
    "/collections/{}/items/3",
)


async def _ask(client: Client, path: str) -> tuple[int, Any]:
    async with client.get(path) as response:
        text = await response.text()
    try:
        document = json.loads(text)
    except ValueError:
        assert "csv" in path, text
        return response.status, text
    return response.status, document.get("features", document.get("geometry"))


def _near(text: object) -> str:
    """The same, with numbers rounded: positions that were transformed twice differ in their last
    digits.
    """
    return re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.3f}", json.dumps(text))


def _of(name: str, command: str) -> str:
    return command.format(name.replace("v_view", "base"))


async def test_the_first_answer_after_an_alter_is_that_of_a_service_that_begins_then(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        "; ".join(_of(name, SETUP + made) for name, (made, _) in ALTERED.items()),
    )
    options: dict[str, Any] = {
        "catalog_poll_seconds": 3600,
        "collections": {"v_view": {"key": ["id"]}},
        "public_url": "http://geo.example",
    }
    old = await service(bare_database_url, tables=[*ALTERED], **options)
    paths = [path.format(name) for name in ALTERED for path in PATHS]
    before = {path: await _ask(old, path) for path in paths}
    assert {status for status, _ in before.values()} == {200}
    stale = old.app[CATALOG].current
    await asyncio.to_thread(
        execute, bare_database_url, "; ".join(_of(name, each[1]) for name, each in ALTERED.items())
    )
    fresh = await service(bare_database_url, tables=[*ALTERED], **options)
    wrong: dict[str, tuple[str, str]] = {}
    for path in paths:
        old.app[CATALOG]._catalog = stale  # so that each path is the first to be asked
        mine, expected = _near(await _ask(old, path)), _near(await _ask(fresh, path))
        if mine not in (expected, _near(before[path])):  # what is told as it was is right, too
            wrong[path] = (mine, expected)
    assert not wrong, "\n".join(
        f"{path}: {each[0][:250]} :: {each[1][:250]}" for path, each in wrong.items()
    )

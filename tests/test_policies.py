"""What row-level security hides is not told by statistics either: extents and counts are exact, or
there are none.
"""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.conftest import Service, execute
from tests.http import fetch

ROLE = "geosvc_policed"
SETUP = f"""
DO $$ BEGIN CREATE ROLE {ROLE} LOGIN PASSWORD 'policed'; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
CREATE TABLE t (id int PRIMARY KEY, kind int, geom geometry(Point, 4326));
INSERT INTO t SELECT i, i / 2999, ST_SetSRID(ST_Point(i * 0.01, 45), 4326) FROM generate_series(1, 3000) i;
CREATE INDEX ON t USING gist (geom); CREATE INDEX ON t (kind); ANALYZE t;
CREATE VIEW v AS SELECT * FROM t; CREATE VIEW w AS SELECT * FROM v;
ALTER VIEW v OWNER TO {ROLE}; ALTER VIEW w OWNER TO {ROLE};
GRANT SELECT ON t TO {ROLE};
ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON t USING (id <= 100);
"""


@pytest.mark.parametrize("name", ["t", "v", "w"])
async def test_neither_extents_nor_counts_tell_of_rows_that_policies_hide(
    service: Service, bare_database_url: str, name: str
) -> None:
    await asyncio.to_thread(execute, bare_database_url, SETUP)
    parts = urlsplit(bare_database_url)
    url = parts._replace(netloc=f"{ROLE}:policed@{parts.netloc.rpartition('@')[2]}").geturl()
    options = {
        "collections": {each: {"key": ["id"]} for each in ("v", "w")},
        "count_exact_rows": 10,
        "count_seconds": 10,
    }
    client = await service(url, **options)
    for path in ("/collections", f"/collections/{name}"):
        found = await fetch(client, path)
        described = next(each for each in found.get("collections", [found]) if each["id"] == name)
        assert described["extent"]["spatial"]["bbox"] == [
            pytest.approx([0.01, 45, 1.0, 45], abs=1e-4)
        ]
    counted = {
        "": 100,
        "&kind=0": 100,
        "&filter=kind%3D1": 0,
        "&bbox=0,0,90,90": 100,
        "&bbox=10,0,90,90": 0,
    }
    for query, expected in counted.items():
        page = await fetch(client, f"/collections/{name}/items?limit=1{query}")
        assert page.get("numberMatched") == expected, query
        assert "numberMatchedEstimate" not in page

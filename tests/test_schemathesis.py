"""The service does what its description says, and nothing else: schemathesis asks, by its own
invention.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from geosvc.commands.samples import load_samples
from tests.conftest import settings_for
from tests.databases import execute
from tests.processes import serving, unexpected

ROOT = Path(__file__).parent.parent
SEED = 20_261_121
EXAMPLES = 6
PLACES = """
CREATE DOMAIN percent AS numeric(5, 2) CHECK (VALUE >= 0 AND VALUE <= 100);
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE places (
  code uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar(20) NOT NULL CHECK (name <> ''),
  above integer CHECK (above > 0), share percent, feeling mood, "limit" integer, extra jsonb, raw bytea, numbers integer[],
  day date, seen timestamptz,
  twice integer GENERATED ALWAYS AS (above * 2) STORED, geom geometry(Point, 4326));
CREATE TABLE visits (room integer, visitor text, geom geometry(Polygon, 3067), PRIMARY KEY (room, visitor));
CREATE FUNCTION geosvc_functions.near(metres float8, lon float8 DEFAULT 0) RETURNS SETOF places LANGUAGE sql STABLE
  AS 'SELECT * FROM places WHERE ST_DWithin(geom, ST_Point(lon, 0, 4326), metres)';
"""
TAGS = ("Capabilities", "streets", "places", "visits", "near")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_schemathesis_finds_nothing(
    clone: Callable[[str], str], bare_template: str, tmp_path: Path
) -> None:
    url = clone(bare_template)
    asyncio.run(load_samples(settings_for(url), url))
    migrated = subprocess.run(
        [sys.executable, "-m", "geosvc", "migrate", "up", "--database-url", url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stderr
    execute(url, PLACES)
    with serving(url, writable="*", access_log="false") as running:
        tags = [argument for tag in TAGS for argument in ("--include-tag", tag)]
        program = [
            sys.executable,
            "-c",
            "from schemathesis.cli import schemathesis; schemathesis()",
        ]
        options = ["--config-file", str(ROOT / "tests" / "schemathesis.toml"), "--no-color"]
        amount = ["--seed", str(SEED), "--max-examples", str(EXAMPLES)]
        found = subprocess.run(
            [*program, *options, "run", f"{running.url}/api", *amount, *tags],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        (tmp_path / "schemathesis.txt").write_text(found.stdout)
        assert found.returncode == 0, found.stdout[-10_000:] + found.stderr[-2_000:]
        for phase in ("Coverage", "Fuzzing", "Stateful"):
            assert f"✅  {phase}" in found.stdout
    assert not unexpected(running)

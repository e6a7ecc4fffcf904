"""What operators see: the log, the pages, the terminal and the metrics of the built program."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import execute
from tests.observing import until
from tests.processes import Running, serving, unexpected

ROWS = 5_000
SECRETS = ("s3cret-passw0rd", "hidden-name", "hidden-word", "77123456789", "hidden-id")
SAMPLE = f"""
CREATE TABLE points (id int PRIMARY KEY, name text, geom geometry(Point, 4326));
INSERT INTO points SELECT i, md5(i::text), ST_SetSRID(ST_Point(i % 100 / 100.0, i / 100 / 100.0), 4326)
FROM generate_series(1, {ROWS}) i;
CREATE INDEX points_geom ON points USING gist (geom);
ANALYZE points;
CREATE VIEW sleepy AS SELECT p.*, pg_sleep(0.4)::text AS nap FROM (SELECT * FROM points ORDER BY id LIMIT 1) p;
CREATE TABLE named (id text PRIMARY KEY, number int, geom geometry(Point, 4326));
CREATE SCHEMA geosvc_functions;
CREATE FUNCTION geosvc_functions.slow(seconds float8) RETURNS SETOF points LANGUAGE plpgsql STABLE
AS 'BEGIN PERFORM pg_sleep(seconds); RETURN QUERY SELECT * FROM public.points LIMIT 3; END';
CREATE FUNCTION geosvc_functions.talking(word text, shout bool DEFAULT false) RETURNS SETOF points LANGUAGE plpgsql STABLE
AS 'BEGIN RAISE WARNING ''looking for %'', word; IF shout THEN RAISE EXCEPTION ''no %'', word; END IF; END';
"""


@pytest.fixture
async def points_url(bare_database_url: str) -> str:
    """A database to be slow with."""
    await asyncio.to_thread(execute, bare_database_url, SAMPLE)
    return bare_database_url


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that opens a connection for every request, so that any worker may answer."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session


Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def read_metrics(session: aiohttp.ClientSession, running: Running) -> Metrics:
    """Every sample by name and labels."""
    async with session.get(f"{running.admin_url}/metrics") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        text = await response.text()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(metrics: Metrics, name: str, **labels: str) -> float:
    """The sum of all samples of a name that have these labels."""
    return sum(
        value
        for (found, having), value in metrics.items()
        if found == name and labels.items() <= having
    )


async def get(session: aiohttp.ClientSession, url: str, **options: Any) -> tuple[int, str]:
    """Status and body."""
    async with session.get(url, **options) as response:
        return response.status, await response.text()


async def lines_of(running: Running, event: str, number: int) -> list[dict[str, Any]]:
    """The lines of an event, once there are so many of them."""

    def found() -> list[dict[str, Any]]:
        return [line for line in running.log if line["event"] == event]

    await until(lambda: len(found()) >= number)
    return found()


def items_lines(running: Running) -> list[dict[str, Any]]:
    """The slow queries that read features; with a threshold of 0 what the driver sends is slow,
    too.
    """
    return [
        line
        for line in running.log
        if line["event"] == "slow_query" and line["statement"].startswith("items.")
    ]


def three(lines: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The lines, once there are three."""
    return lines if len(lines) >= 3 else None


class Texts(HTMLParser):
    """The words of a page, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []

    def handle_data(self, data: str) -> None:
        """Collects."""
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects addresses."""
        self.addresses += [
            value or "" for name, value in attrs if name in ("href", "src", "action")
        ]


def read_page(html: str) -> Texts:
    """A page's texts; fails when it asks another host for anything."""
    page = Texts()
    page.feed(html)
    assert not [each for each in page.addresses if re.match(r"[a-z]+:|//", each)]
    assert "<script" not in html
    return page


def tell_slow(*arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
    """`geosvc slow`."""
    command = [sys.executable, "-m", "geosvc", "slow", *arguments]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=30
    )


async def test_three_slow_requests_tell_cause_and_cure_in_the_log_on_the_page_in_the_terminal_and_in_metrics(
    points_url: str, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await asyncio.to_thread(execute, points_url, "DROP INDEX points_geom")
    box = "/collections/points/items?bbox=0,0,0.01,0.01&count=none"
    threshold = '{"points": {"slow_query_ms": 0}}'
    with serving(points_url, slow_query_ms="300", collections=threshold) as running:
        for path in (box, "/collections/sleepy/items?count=none", "/collections/sleepy/export"):
            status, _ = await get(session, running.url + path)
            assert status == 200
        lines = await until(lambda: three(items_lines(running)))
        html = (
            await get(session, f"{running.admin_url}/slow-queries", headers={"Accept": "text/html"})
        )[1]
        document = json.loads((await get(session, f"{running.admin_url}/slow-queries"))[1])
        metrics = await read_metrics(session, running)
    assert len(lines) == 3
    by_collection = {line["collection"]: line for line in lines}
    index = next(
        each
        for each in by_collection["points"]["advice"]
        if each["code"] == "missing-spatial-index"
    )
    assert index["sql"].startswith(
        'CREATE INDEX CONCURRENTLY ON "public"."points" USING gist ("geom")'
    )
    assert any("pg_sleep()" in piece["text"] for piece in by_collection["sleepy"]["advice"])
    assert by_collection["sleepy"]["duration_ms"] > 400
    words = "".join(read_page(html).words)
    assert index["sql"] in words
    assert "pg_sleep()" in words
    assert all(line["request_id"] in words for line in lines)
    counts = {
        each["statement"]: each["count"]
        for each in document["statements"]
        if "sleepy" in each["collections"]
    }
    assert counts == {"items.page": 1, "items.export": 1}
    assert sum(each["count"] for each in document["minutes"]) == sum(
        each["count"] for each in document["statements"]
    )
    assert (
        total(metrics, "geosvc_slow_queries_total", collection="points", statement="items.page")
        == 1
    )
    assert total(metrics, "geosvc_slow_queries_total", collection="sleepy") == 2
    log = tmp_path / "log"
    log.write_text("\n".join(map(json.dumps, running.log)) + "\nnot json\n", "utf-8")
    told = (await asyncio.to_thread(tell_slow, str(log))).stdout
    assert index["sql"] in told
    assert "pg_sleep()" in told
    assert "1 lines could not be read" in told
    piped = await asyncio.to_thread(
        tell_slow, "--json", "--since", "1h", text=log.read_text("utf-8")
    )
    statements = json.loads(piped.stdout)["statements"]
    assert {each["fingerprint"]: each["count"] for each in statements} == {
        each["fingerprint"]: each["count"] for each in document["statements"]
    }
    assert not unexpected(running)


def test_old_lines_and_bad_spans_are_left_out() -> None:
    line: dict[str, Any] = {
        "event": "slow_query",
        "timestamp": "2001-01-01T00:00:00Z",
        "fingerprint": "f",
        "statement": "s",
    }
    line |= {"total_ms": 5, "duration_ms": 5, "pool_wait_ms": 0, "send_ms": 0}
    for extra, count in ((), 1), (("--since", "1h"), 0):
        told = tell_slow("--json", *extra, text=json.dumps(line))
        assert len(json.loads(told.stdout)["statements"]) == count
    wrong = tell_slow("--since", "soon")
    assert wrong.returncode == 2
    assert "such as 1h" in wrong.stderr


async def test_numbers_are_those_of_all_workers_whoever_answers(
    points_url: str, session: aiohttp.ClientSession
) -> None:
    with serving(points_url, slow_query_ms="0", workers="2") as running:
        for number in (1, 2):
            running.wait_for("server_started", number)
        for number in range(40):
            assert (await get(session, f"{running.url}/collections/points/items/{number + 1}"))[
                0
            ] == 200
        for _ in range(6):  # whichever worker is asked
            metrics = await read_metrics(session, running)
            assert (
                total(metrics, "geosvc_request_duration_seconds_count", operation="getFeature")
                == 40
            )
            assert total(metrics, "geosvc_worker_up") == 2
            document = json.loads((await get(session, f"{running.admin_url}/slow-queries"))[1])
            looked_up = [
                each for each in document["statements"] if each["statement"] == "items.by_id"
            ]
            assert sum(each["count"] for each in looked_up) == 40
            assert (document["workers"], document["silent"]) == (2, 0)
            pools = json.loads((await get(session, f"{running.admin_url}/pool"))[1])["pools"]
            assert [each["worker"] for each in pools] == [0, 1]
        shares = [
            total(
                metrics, "geosvc_request_duration_seconds_count", operation="getFeature", worker=n
            )
            for n in "01"
        ]
        assert sum(shares) == 40
        os.kill(running.wait_for("server_started")["pid"], signal.SIGKILL)
        running.wait_for("worker_exited")
        running.wait_for("server_started", 3)
        metrics = await read_metrics(session, running)
        assert total(metrics, "geosvc_worker_up") == 2
        assert (
            total(metrics, "geosvc_request_duration_seconds_count", operation="getFeature")
            in shares
        )


async def test_a_running_statement_is_shown_with_its_request_and_can_be_cancelled(
    points_url: str, session: aiohttp.ClientSession
) -> None:
    with serving(points_url, workers="2", public_url="https://maps.example") as running:
        running.wait_for("server_started", 2)
        url = f"{running.url}/collections/slow/items?seconds=15&count=none"
        who = {"User-Agent": "QGIS/3.34", "X-Forwarded-For": "198.51.100.7"}
        asking = asyncio.create_task(
            get(session, url, headers={"X-Request-ID": "the-slow-one", **who})
        )

        async def statements() -> list[dict[str, Any]]:
            document = json.loads((await get(session, f"{running.admin_url}/activity"))[1])
            return [each for each in document["statements"] if each["request_id"] == "the-slow-one"]

        while not (found := await statements()):
            await asyncio.sleep(0.05)
        (statement,) = found
        assert statement["request"]["collection"] == "slow"
        assert statement["request"]["operation"] == "getFeatures"
        assert (statement["request"]["client"], statement["request"]["user_agent"]) == (
            "198.51.100.7",
            "QGIS/3.34",
        )
        assert statement["state"] == "active"
        assert statement["sql"].startswith(
            "SELECT convert_to("
        )  # the server keeps a kilobyte of it
        page = read_page((await get(session, f"{running.admin_url}/activity?f=html"))[1])
        assert {"198.51.100.7", "QGIS/3.34"} <= set(page.words)
        cancel = f"{running.admin_url}/activity/{statement['pid']}/cancel"
        # the service's own statements may run at the same moment
        (cache_key,) = [each for each in page.addresses if f"/{statement['pid']}/cancel" in each]
        status, html = await get(
            session, f"{running.admin_url}/{cache_key}", headers={"Accept": "text/html"}
        )
        confirmation = read_page(html)
        assert status == 200
        assert {"Cancel this statement?", "QGIS/3.34", "the-slow-one"} & {
            word.strip() for word in confirmation.words
        }
        assert {"cancel", "../../activity"} <= set(confirmation.addresses)
        for wrong, expected in (
            (f"{cancel}?started=5", 404),
            (cancel, 400),
            (f"{cancel}?started=5&x=1", 400),
        ):
            assert (await get(session, wrong))[0] == expected
        assert not asking.done()
        for form, headers, status in (
            ({"started": str(statement["started"])}, {"Origin": "https://evil.example"}, 403),
            ({"started": str(statement["started"])}, {"Sec-Fetch-Site": "cross-site"}, 403),
            ({"started": str(statement["started"])}, {"Sec-Fetch-Site": "same-site"}, 403),
            ({"started": str(statement["started"])}, {"Origin": "null"}, 403),
            ({"started": str(statement["started"] - 5)}, {}, 404),
            ({"started": "soon"}, {}, 400),
            ({}, {}, 400),
        ):
            async with session.post(cancel, data=form, headers=headers) as response:
                assert response.status == status, await response.text()
        assert not asking.done()
        form = {"started": str(statement["started"])}
        own = {
            "Accept": "text/html",
            "Origin": running.admin_url,
            "Sec-Fetch-Site": "same-origin",
            "User-Agent": "operator\t1",
        }
        async with session.post(cancel, data=form, headers=own, allow_redirects=False) as response:
            assert response.status == 303
            assert response.headers["Location"] == "../../activity"
        status, body = await asking
        assert status == 503
        assert json.loads(body)["type"].endswith("query-cancelled")
        (told,) = await lines_of(running, "statement_cancelled", 1)
        assert (told["request_id"], told["client"], told["user_agent"]) == (
            "the-slow-one",
            "127.0.0.1",
            "operator\\t1",
        )
        assert told["running_ms"] > 0
        async with session.post(cancel, data=form) as response:
            assert response.status == 404
    assert not unexpected(running, "request_failed")


async def test_the_root_of_the_admin_listener_leads_to_every_page(
    points_url: str, session: aiohttp.ClientSession
) -> None:
    with serving(points_url, slow_query_ms="0") as running:
        await get(session, f"{running.url}/collections/points/items?bbox=0,0,1,1&sortby=name")
        origins = {"request", "geosvc"}
        await until(
            lambda: (
                {line.get("origin") for line in running.log if line["event"] == "slow_query"}
                == origins
            )
        )
        root = f"{running.admin_url}/"
        document = json.loads((await get(session, root))[1])
        assert document["database_up"] is True
        assert document["slow_last_hour"] > 0
        page = read_page((await get(session, root, headers={"Accept": "text/html"}))[1])
        for path in ("slow-queries", "activity", "pool", "metrics", "readyz", "livez"):
            assert path in page.addresses
            assert path in [each["href"] for each in document["links"]]
            status, text = await get(session, root + path, headers={"Accept": "text/html"})
            assert status == 200
            if path in ("slow-queries", "activity", "pool"):
                assert {"./", "slow-queries", "activity", "pool"} <= set(read_page(text).addresses)
        words = read_page((await get(session, f"{root}slow-queries?f=html"))[1]).words
        for expected in ("What clients asked for", "bbox sortby=name", "catalog.load "):
            assert any(expected in word for word in words), expected
        log = "\n".join(map(json.dumps, running.log))
    told = (await asyncio.to_thread(tell_slow, text=log)).stdout
    asked, own = told.index("Requests of clients"), told.index("geosvc's own statements")
    assert asked < told.index("items.page bbox sortby=name") < own < told.index("catalog.load")
    assert "encode" in told
    assert "clients: 127.0.0.1 (1)" in told


async def test_who_blocks_a_statement_is_shown(
    points_url: str, session: aiohttp.ClientSession
) -> None:
    with serving(points_url) as running:
        locker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _LOCK, points_url, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert locker.stdout is not None
        assert await locker.stdout.readline() == b"locked\n"
        asking = asyncio.create_task(
            get(session, f"{running.url}/collections/points/items?count=none")
        )
        blocked: list[Any] = []
        while not blocked:
            await asyncio.sleep(0.05)
            document = json.loads((await get(session, f"{running.admin_url}/activity"))[1])
            blocked = [each["blocked_by"] for each in document["statements"] if each["blocked_by"]]
        assert blocked[0][0]["application_name"] == "the-locker"
        assert "blocked by" in (await get(session, f"{running.admin_url}/activity?f=html"))[1]
        await locker.communicate(b"\n")
        assert (await asking)[0] == 200


_LOCK = """
import asyncio, asyncpg, sys
async def main():
    connection = await asyncpg.connect(sys.argv[1], server_settings={"application_name": "the-locker"})
    await connection.execute("BEGIN; LOCK TABLE points")
    print("locked", flush=True)
    sys.stdin.readline()
    await connection.close()
asyncio.run(main())
"""


async def test_the_admin_listener_is_closed_to_pages_of_other_origins(
    points_url: str, session: aiohttp.ClientSession
) -> None:
    with serving(points_url) as running:
        for path in ("/slow-queries", "/activity", "/metrics", "/pool", "/livez"):
            async with session.get(
                running.admin_url + path, headers={"Origin": "https://evil.example"}
            ) as response:
                assert response.status == 200
                assert "Access-Control-Allow-Origin" not in response.headers
        for path in ("/slow-queries?f=html", "/activity?f=html"):
            async with session.get(running.admin_url + path) as response:
                assert response.content_type == "text/html"
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert (await get(session, f"{running.admin_url}/slow-queries?f=xml"))[0] == 400
        assert (await get(session, f"{running.admin_url}/slow-queries?x=1"))[0] == 400
        async with session.put(f"{running.admin_url}/activity/1/cancel") as response:
            assert response.status == 405


async def test_every_metric_is_documented(points_url: str, session: aiohttp.ClientSession) -> None:
    with serving(points_url, slow_query_ms="0") as running:
        await get(session, f"{running.url}/collections/points/items")
        await lines_of(running, "slow_query", 1)
        text = (await get(session, f"{running.admin_url}/metrics"))[1]
    names = re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)
    assert len(names) > 15
    page = (Path(__file__).parent.parent / "docs" / "operations.md").read_text("utf-8")
    assert [name for name in names if f"`{name}`" not in page] == []


ROOT = Path(__file__).parent.parent
RULES = yaml.safe_load((ROOT / "deploy/prometheus/geosvc.rules.yml").read_text("utf-8"))["groups"][
    0
]["rules"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/geosvc.json").read_text("utf-8"))


async def test_alert_rules_and_dashboard_ask_for_metrics_that_are_there(
    points_url: str, session: aiohttp.ClientSession
) -> None:
    asked = [rule["expr"] for rule in RULES]
    asked += [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    with serving(points_url) as running:
        await get(session, f"{running.url}/collections/points/items")
        text = (await get(session, f"{running.admin_url}/metrics"))[1]
    exported = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    names = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for each in asked
        for name in re.findall(r"geosvc_\w+", each)
    }
    assert len(names) > 20
    assert names - exported == set()
    labels = {label for each in asked for label in re.findall(r"by \(([\w, ]+)\)", each)}
    known = set(re.findall(r"(\w+)=\"", text)) | {
        "job",
        "instance",
        "le",
        "reason",
        "part",
        "kind",
        "outcome",
    }
    assert {label.strip() for each in labels for label in each.split(",")} - known == set()


def test_every_alert_leads_to_a_chapter_that_says_what_to_do() -> None:
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    links = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in RULES}
    assert {"GeosvcFeedLost", "GeosvcAbsent", "GeosvcTargetDown", "GeosvcSlowQueries"} <= set(links)
    assert {
        name: link for name, link in links.items() if link.partition("#")[2] not in anchors
    } == {}
    assert {link.partition("#")[0] for link in links.values()} == {"docs/operations.md"}
    inner = re.findall(r"\]\(#([\w-]+)\)", page)
    assert [each for each in inner if each not in anchors] == []


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is in Debian's package prometheus"
)
@pytest.mark.parametrize(
    "command", [("check", "rules", "geosvc.rules.yml"), ("test", "rules", "geosvc.test.yml")]
)
def test_prometheus_takes_the_rules_and_they_fire_when_they_should(
    command: tuple[str, ...],
) -> None:
    run = subprocess.run(
        ["promtool", *command],
        cwd=ROOT / "deploy/prometheus",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr


async def test_the_access_log_has_a_line_for_each_request_and_no_ids_or_values(
    points_url: str, session: aiohttp.ClientSession
) -> None:
    with serving(points_url, access_log="true") as running:
        await get(
            session,
            f"{running.url}/collections/points/items/7?f=geojson",
            headers={"X-Request-ID": "one"},
        )
        await get(
            session, f"{running.url}/collections/points/export", headers={"X-Request-ID": "two"}
        )
        await get(session, f"{running.url}/nowhere/hidden-id", headers={"X-Request-ID": "three"})
        lines = {line["request_id"]: line for line in await lines_of(running, "request", 3)}
    assert lines["one"]["route"] == "/collections/{collectionId}/items/{featureId}"
    assert (lines["one"]["status"], lines["one"]["collection"]) == (200, "points")
    assert lines["two"]["bytes"] > 100 * ROWS
    assert lines["two"]["duration_ms"] > lines["two"]["db_ms"] > 0
    assert (lines["three"]["status"], lines["three"]["route"]) == (404, None)
    assert "hidden-id" not in json.dumps(running.log)


async def test_no_password_dsn_or_value_reaches_a_log_a_metric_a_page_or_a_500(
    points_url: str, session: aiohttp.ClientSession
) -> None:
    role = f"DROP ROLE IF EXISTS talker; CREATE ROLE talker LOGIN PASSWORD '{SECRETS[0]}'"
    await asyncio.to_thread(execute, points_url, f"{role}; GRANT SELECT ON points, named TO talker")
    grant = "GRANT USAGE ON SCHEMA geosvc_functions TO talker"
    await asyncio.to_thread(execute, points_url, grant)
    parts = urlsplit(points_url)
    url = parts._replace(netloc=f"talker:{SECRETS[0]}@{parts.netloc.rpartition('@')[2]}").geturl()
    answers: list[str] = []
    with serving(
        url, slow_query_ms="0", access_log="true", log_level="debug", statement_timeout_seconds="1"
    ) as running:
        for path, status in (
            ("/collections/points/items?name=hidden-name", 200),
            ("/collections/named/items/hidden-id", 404),
            ("/collections/named/items?number=77123456789", 400),
            ("/collections/talking/items?word=hidden-word", 200),
            ("/collections/talking/items?word=hidden-word&shout=true", 400),
            ("/collections/talking/export?word=hidden-word&shout=true", 400),
            ("/collections/slow/items?seconds=3&name=hidden-name", 504),
        ):
            found, body = await get(session, running.url + path)
            assert found == status, (path, body)
            if found >= 500:
                answers.append(body)
        await lines_of(running, "slow_query", 6)
        await lines_of(running, "server_warning", 1)
        paths = (
            "/metrics",
            "/slow-queries",
            "/slow-queries?f=html",
            "/activity",
            "/activity?f=html",
            "/pool",
            "/readyz",
        )
        answers += [(await get(session, running.admin_url + path))[1] for path in paths]
    everything = "\n".join([*answers, *map(json.dumps, running.log)])
    assert len(everything) > 10_000
    for secret in (*SECRETS, "postgresql://", parts.query or "5432/geosvc"):
        assert secret not in everything, [
            line for line in running.log if secret in json.dumps(line)
        ]
    await asyncio.to_thread(execute, points_url, "DROP OWNED BY talker; DROP ROLE talker")

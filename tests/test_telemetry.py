"""Every statement is seen exactly once and tied to its request; slow ones are told, in bounds."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from geosvc.database.pool import Database
from geosvc.errors import RequestError, SettingsError
from geosvc.events import (
    Event,
    QueryEnded,
    RequestEnded,
    ServerMessagesDropped,
    ServerNotice,
    ServerWarning,
    SlowQueriesDropped,
    SlowQuery,
    TelemetryFailed,
    failures,
    subscribe,
)
from geosvc.http.keys import ADMIN_DATABASE, DATABASE, OBSERVED, SLOW_QUERIES
from geosvc.observe.log import start_log
from geosvc.sql.compose import Statement
from geosvc.trace import Run
from tests.conftest import Client, Service, execute, settings_for
from tests.http import fetch
from tests.observing import seen, until

SAMPLE = """
CREATE TABLE points (id int PRIMARY KEY, name text, geom geometry(Point, 4326));
INSERT INTO points SELECT i, md5(i::text), ST_SetSRID(ST_Point(i % 100 / 100.0, i / 100 / 100.0), 4326)
FROM generate_series(1, 5000) i;
ANALYZE points;
CREATE SCHEMA geosvc_functions;
CREATE FUNCTION geosvc_functions.slow(seconds float8) RETURNS SETOF points LANGUAGE plpgsql STABLE
AS 'BEGIN PERFORM pg_sleep(seconds); RETURN QUERY SELECT * FROM public.points LIMIT 3; END';
CREATE FUNCTION geosvc_functions.failing() RETURNS SETOF points LANGUAGE plpgsql STABLE AS 'BEGIN RAISE EXCEPTION ''no''; END';
CREATE FUNCTION geosvc_functions.talking(word text, times int DEFAULT 1) RETURNS SETOF points LANGUAGE plpgsql STABLE
AS 'BEGIN FOR i IN 1..times LOOP RAISE NOTICE ''looking for %'', word; END LOOP; RAISE WARNING ''gave up on %'', word; END';
"""


@pytest.fixture
async def points_url(bare_database_url: str) -> str:
    """A database to be slow with."""
    await asyncio.to_thread(execute, bare_database_url, SAMPLE)
    return bare_database_url


def of_requests(events: list[QueryEnded]) -> list[Run]:
    """The runs for requests, without what the driver sends."""
    return [
        each.run
        for each in events
        if each.run.trace is not None and each.run.name.startswith("items.")
    ]


async def get(client: Client, path: str, **options: Any) -> int:
    """The status of a GET whose body is read to the end."""
    async with client.get(path, **options) as response:
        await response.read()
        return response.status


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/collections/points/items?count=none", ["items.page"]),
        ("/collections/points/items?bbox=0,0,1,1", ["items.page", "items.estimate"]),
        ("/collections/points/items/7", ["items.by_id"]),
        ("/collections/points/export", ["items.export"]),
        ("/collections/points/items?limit=3000&count=none", ["items.page"]),
    ],
)
async def test_every_statement_is_seen_once_with_its_request(
    service: Service, points_url: str, path: str, names: list[str]
) -> None:
    client = await service(points_url)
    with seen(QueryEnded) as events, seen(RequestEnded) as requests:
        assert await get(client, path) == 200
        await until(lambda: requests and len(of_requests(events)) == len(names))
        await asyncio.sleep(0.05)
    runs = of_requests(events)
    assert [run.name for run in runs] == names
    (request,) = (each.trace for each in requests)
    for run in runs:
        assert run.trace is request
        assert run.outcome == "ok"
        assert 0 < run.seconds < 5
    assert request.collection == "points"
    assert request.operation in ("getFeatures", "getFeature", "exportFeatures")
    assert request.status == 200
    assert request.bytes > 100
    assert request.total_seconds > request.db_seconds > 0


async def test_what_the_driver_sends_is_seen_as_well(service: Service, points_url: str) -> None:
    with seen(QueryEnded) as events:
        client = await service(points_url)
        assert await get(client, "/collections/points/export") == 200
        await asyncio.sleep(0.05)
    names = {each.run.name for each in events}
    assert {
        "transaction.begin",
        "transaction.commit",
        "session.set",
        "driver.introspection",
        "catalog.load",
    } <= names


async def test_a_shared_look_up_is_one_statement_that_names_all_its_requests(
    service: Service, points_url: str
) -> None:
    client = await service(points_url)
    await get(client, "/collections/points/items/1")
    with seen(QueryEnded) as events:
        ids = range(1, 41)
        statuses = await asyncio.gather(
            *(
                get(
                    client,
                    f"/collections/points/items/{each}",
                    headers={"X-Request-ID": f"r{each}"},
                )
                for each in ids
            )
        )
        assert set(statuses) == {200}
        await asyncio.sleep(0.05)
    runs = of_requests(events)
    assert len(runs) < 40
    told = [
        trace.request_id for run in runs for trace in (run.trace, *run.shared) if trace is not None
    ]
    assert sorted(told) == sorted(f"r{each}" for each in ids)


async def outcomes(client: Client, path: str, status: int, **options: Any) -> list[tuple[str, str]]:
    """(name, outcome) of the statements of a request."""
    with seen(QueryEnded) as events, seen(RequestEnded) as requests:
        assert await get(client, path, **options) == status
        await until(lambda: requests)
        await asyncio.sleep(0.05)
    return [(run.name, run.outcome) for run in of_requests(events)]


async def test_failed_and_timed_out_statements_are_seen(service: Service, points_url: str) -> None:
    client = await service(points_url, statement_timeout_seconds=0.3)
    assert await outcomes(client, "/collections/slow/items?seconds=1&count=none", 504) == [
        ("items.page", "timeout")
    ]
    assert await outcomes(client, "/collections/slow/export?seconds=1", 504) == [
        ("items.export", "timeout")
    ]
    assert await outcomes(client, "/collections/failing/items?count=none", 500) == [
        ("items.page", "failed")
    ]
    assert await outcomes(client, "/collections/failing/export", 500) == [
        ("items.export", "failed")
    ]


async def test_a_statement_whose_client_left_is_seen_as_cancelled(
    service: Service, points_url: str
) -> None:
    client = await service(points_url)
    with seen(QueryEnded) as events, seen(RequestEnded) as requests:
        for path in (
            "/collections/slow/items?seconds=5&count=none",
            "/collections/slow/export?seconds=5",
        ):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await get(client, path)
        await until(lambda: len(of_requests(events)) == 2 and len(requests) == 2)
    assert [(run.name, run.outcome) for run in of_requests(events)] == [
        ("items.page", "cancelled"),
        ("items.export", "cancelled"),
    ]
    assert [each.trace.status for each in requests] == [499, 499]


async def test_a_statement_that_got_no_connection_is_seen(
    service: Service, points_url: str
) -> None:
    client = await service(points_url, pool_min_size=0, pool_max_size=1, pool_acquire_seconds=0.2)
    sleeping = asyncio.create_task(get(client, "/collections/slow/items?seconds=0.8&count=none"))
    await asyncio.sleep(0.1)
    with seen(QueryEnded) as events:
        assert await get(client, "/collections/points/items?count=none") == 503
        assert await sleeping == 200
        await asyncio.sleep(0.05)
    by_outcome = {run.outcome: run for run in of_requests(events)}
    assert set(by_outcome) == {"no-connection", "ok"}
    assert by_outcome["no-connection"].pool_seconds > 0.19
    assert by_outcome["no-connection"].seconds == 0


async def test_a_client_that_leaves_while_it_is_sent_a_page_ends_its_request(
    service: Service, points_url: str
) -> None:
    await asyncio.to_thread(execute, points_url, "UPDATE points SET name = repeat(name, 300)")
    client = await service(points_url)
    with seen(RequestEnded) as requests:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(
            b"GET /collections/points/items?limit=1000&count=none HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        await reader.readexactly(1000)
        writer.transport.abort()
        await until(lambda: requests)
    assert not client.app[OBSERVED].open_requests


async def test_the_server_knows_which_request_a_statement_is_for(
    service: Service, points_url: str
) -> None:
    client = await service(points_url)
    watcher = await asyncpg.connect(points_url)
    try:
        for path in (
            "/collections/slow/items?seconds=0.5&count=none",
            "/collections/slow/export?seconds=0.5",
        ):
            asking = asyncio.create_task(get(client, path, headers={"X-Request-ID": "who-asks"}))
            await asyncio.sleep(0.25)
            names = await watcher.fetch(
                "SELECT application_name FROM pg_stat_activity WHERE state = 'active'"
            )
            assert "geosvc/who-asks" in [row[0] for row in names]
            assert await asking == 200
        idle = await watcher.fetch(
            "SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name LIKE"
            " 'geosvc%'"
        )
        assert [row[0] for row in idle] == ["geosvc"]
    finally:
        await watcher.close()


async def test_every_response_tells_its_times(service: Service, points_url: str) -> None:
    client = await service(points_url)
    paths = (
        "/",
        "/collections/points/items?limit=5",
        "/collections/points/items/3",
        "/collections/points/export",
        "/nowhere",
    )
    for path in (*paths, "/collections/points/items?limit=x"):
        async with client.get(path) as response:
            parts = dict(
                part.strip().split(";dur=") for part in response.headers["Server-Timing"].split(",")
            )
            assert list(parts) == ["parse", "pool", "db", "encode", "total"]
            times = {name: float(value) for name, value in parts.items()}
            assert times["total"] + 0.1 >= sum(times.values()) - times["total"]
            assert (times["db"] > 0) == path.startswith("/collections/points/") - (
                "limit=x" in path
            )
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    async with client.options("/collections", headers=preflight) as response:
        assert "total;dur=" in response.headers["Server-Timing"]


async def test_what_the_server_says_is_an_event_without_the_values_of_the_request(
    service: Service, points_url: str
) -> None:
    client = await service(points_url)
    with seen(ServerNotice) as said:
        assert (
            await get(
                client,
                "/collections/talking/items?word=hush-hush&count=none",
                headers={"X-Request-ID": "loud"},
            )
            == 200
        )
        await until(lambda: len(said) == 2)
    assert [(type(each), each.message) for each in said] == [
        (ServerNotice, "looking for …"),
        (ServerWarning, "gave up on …"),
    ]
    assert {(each.statement, each.request_id) for each in said} == {("items.page", "loud")}


async def test_a_server_that_says_too_much_is_cut_short_and_counted(
    service: Service, points_url: str
) -> None:
    client = await service(points_url)
    with seen(ServerNotice) as said, seen(ServerMessagesDropped) as dropped:
        assert await get(client, "/collections/talking/items?word=aaa&times=999&count=none") == 200
        await asyncio.sleep(1.1)
        assert await get(client, "/collections/talking/items?word=bbb&count=none") == 200
        await until(lambda: dropped)
        await asyncio.sleep(0.05)
    assert len(said) + dropped[0].dropped == 1000 + 2


async def test_messages_can_be_switched_off(service: Service, points_url: str) -> None:
    client = await service(points_url, server_messages="off")
    with seen(ServerNotice) as said:
        assert await get(client, "/collections/talking/items?word=aaa&count=none") == 200
        await asyncio.sleep(0.1)
    assert said == []


async def slow_lines(client: Client, *paths: str) -> list[tuple[str | None, float]]:
    """(collection, threshold) of the lines for some requests."""
    with seen(SlowQuery) as lines:
        for path in paths:
            assert await get(client, path) == 200
        await asyncio.sleep(0.3)
    return sorted((line.collection, line.threshold_ms) for line in lines)


async def test_thresholds_are_of_a_collection_of_a_route_and_of_all(
    service: Service, points_url: str
) -> None:
    client = await service(
        points_url,
        slow_query_ms=100_000,
        slow_query_ms_by_route={"getFeature": 0, "/collections/{collectionId}/export": 100},
        collections={"slow": {"slow_query_ms": 400}},
        slow_export_ms_per_row=0,
        explain=False,
    )
    lines = await slow_lines(
        client,
        "/collections/points/items?count=none",
        "/collections/points/items/5",
        "/collections/points/export",
        "/collections/slow/items?seconds=0.5&count=none",
        "/collections/slow/items?seconds=0.05&count=none",
        "/collections/slow/export?seconds=0.12",
    )
    assert lines in (
        [("points", 0.0), ("slow", 400.0)],
        [("points", 0.0), ("points", 100.0), ("slow", 400.0)],
    )


@pytest.mark.parametrize("wrong", ["fast", "nan", "inf", "-1", ""])
def test_a_threshold_that_is_no_number_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("GEOSVC_SLOW_QUERY_MS", wrong)
    if not wrong:  # an empty variable is none
        assert settings_for("postgresql://x/y").slow_query_ms == 500
        return
    with pytest.raises(SettingsError, match=r"^GEOSVC_SLOW_QUERY_MS: ") as error:
        settings_for("postgresql://x/y")
    assert wrong not in str(error.value).removeprefix("GEOSVC_SLOW_QUERY_MS") or wrong == "-1"


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("GEOSVC_SLOW_QUERY_MS_BY_ROUTE", "{", "GEOSVC_SLOW_QUERY_MS_BY_ROUTE: is no JSON object"),
        (
            "GEOSVC_SLOW_QUERY_MS_BY_ROUTE",
            '{"getFeatures": "fast"}',
            "GEOSVC_SLOW_QUERY_MS_BY_ROUTE.getFeatures: ",
        ),
        (
            "GEOSVC_COLLECTIONS",
            '{"a": {"slow_query_ms": "x"}}',
            "GEOSVC_COLLECTIONS.a.slow_query_ms: ",
        ),
    ],
)
def test_wrong_thresholds_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, line: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        settings_for("postgresql://x/y")
    assert str(error.value).startswith(line)


async def test_a_threshold_for_a_route_that_is_not_there_stops_the_start(
    service: Service, points_url: str
) -> None:
    with pytest.raises(SettingsError, match=r"BY_ROUTE\.getNothing: there is no such operation"):
        await service(points_url, slow_query_ms_by_route={"getNothing": 5})


async def test_a_line_tells_everything_and_no_value(service: Service, points_url: str) -> None:
    client = await service(points_url, slow_query_ms=0)
    with seen(SlowQuery) as lines:
        path = "/collections/points/items?bbox=0.125,0.25,0.5,0.75&name=secret-name&count=none"
        assert await get(client, path, headers={"X-Request-ID": "mine"}) == 200
        line = await until(
            lambda: next((each for each in lines if each.statement == "items.page"), None)
        )
    assert (line.request_id, line.method, line.route) == (
        "mine",
        "GET",
        "/collections/{collectionId}/items",
    )
    assert (line.collection, line.operation, line.statement) == (
        "points",
        "getFeatures",
        "items.page",
    )
    assert "text(11)" in line.args
    assert "float8(xmin 0.125)" in line.args
    assert "float8(ymax 0.75)" in line.args
    assert "secret-name" not in str(line)
    assert 'FROM "public"."points"' in line.sql
    assert line.rows == 0
    assert line.total_ms >= line.duration_ms > 0
    assert line.plan is not None
    assert "set_config" not in "".join(line.plan)


async def test_values_are_told_only_when_the_settings_say_so(
    service: Service, points_url: str
) -> None:
    client = await service(points_url, slow_query_ms=0, slow_query_args="full")
    with seen(SlowQuery) as lines:
        assert await get(client, "/collections/points/items?name=open-name&count=none") == 200
        line = await until(
            lambda: next((each for each in lines if each.statement == "items.page"), None)
        )
    assert "'open-name'" in line.args


async def test_a_storm_of_slow_queries_stays_in_bounds_and_all_of_it_is_counted(
    service: Service, points_url: str
) -> None:
    client = await service(
        points_url, slow_query_ms=0, slow_query_lines_per_minute=3, pool_max_size=4, pool_min_size=0
    )
    slow, pool, aside = client.app[SLOW_QUERIES], client.app[DATABASE], client.app[ADMIN_DATABASE]
    paths = [
        f"/collections/points/items?limit={1 + n % 5}&offset={n}&count=none" for n in range(400)
    ]
    busiest = {"queue": 0, "pool": 0, "aside": 0}
    explained = 0

    def watch(event: Event) -> None:
        nonlocal explained
        explained += isinstance(event, QueryEnded) and event.run.name == "operations.explain"
        busiest["queue"] = max(busiest["queue"], slow._queue.qsize())
        busiest["pool"] = max(busiest["pool"], pool.size)
        busiest["aside"] = max(busiest["aside"], aside.size)

    end = subscribe(watch, QueryEnded)
    with seen(SlowQuery) as lines, seen(SlowQueriesDropped) as bursts:
        for start in range(0, len(paths), 16):
            assert set(
                await asyncio.gather(*(get(client, path) for path in paths[start : start + 16]))
            ) == {200}
        await asyncio.sleep(0.3)
        counted = {each.statement: each for each in slow.statistics.by_fingerprint.values()}
        await client.close()  # which tells of what was left out
    end()
    of_pages = [line for line in lines if line.statement == "items.page"]
    fingerprints = {line.fingerprint for line in of_pages}
    assert len(of_pages) <= 3 * len(fingerprints) + 2
    dropped = sum(line.dropped for line in of_pages) + sum(
        each.dropped for each in bursts if each.statement == "items.page"
    )
    assert len(of_pages) + dropped == 400
    assert counted["items.page"].count <= 400
    assert explained <= len({line.fingerprint for line in lines})
    assert busiest["queue"] <= 256
    assert busiest["pool"] <= 4
    assert busiest["aside"] <= 1


async def test_a_plan_that_cannot_be_had_fails_no_request_and_is_told_once(
    service: Service, points_url: str
) -> None:
    failures.clear()
    role = "CREATE ROLE narrow LOGIN CONNECTION LIMIT 1; GRANT SELECT ON points TO narrow"
    await asyncio.to_thread(execute, points_url, f"DROP ROLE IF EXISTS narrow; {role}")
    url = points_url.replace("postgres@", "narrow@")
    with seen(SlowQuery) as lines, seen(TelemetryFailed) as told:
        client = await service(url, slow_query_ms=0, pool_min_size=0, pool_max_size=1)
        for path in (
            "/collections/points/items?count=none",
            "/collections/points/items?limit=3&name=x&count=none",
        ):
            assert await get(client, path) == 200
        await until(
            lambda: len({line.fingerprint for line in lines if line.statement == "items.page"}) == 2
        )
    assert [line.plan for line in lines if line.statement == "items.page"] == [None, None]
    assert [each.part for each in told] == ["explain"]
    assert failures["explain"] >= 2
    failures.clear()
    await client.close()
    await asyncio.to_thread(execute, points_url, "DROP OWNED BY narrow; DROP ROLE narrow")


async def test_an_observer_that_fails_fails_no_request_and_is_told_once(
    service: Service, points_url: str
) -> None:
    failures.clear()
    client = await service(points_url)

    def break_down(event: Event) -> None:
        raise ValueError("broken")

    ends = [subscribe(break_down, kind) for kind in (QueryEnded, RequestEnded)]
    try:
        with seen(TelemetryFailed) as told:
            for _ in range(3):
                assert await get(client, "/collections/points/items") == 200
                assert await get(client, "/collections/points/export") == 200
            await asyncio.sleep(0.05)
    finally:
        for end in ends:
            end()
    assert len(told) == 1
    assert "break_down" in told[0].part
    assert sum(failures.values()) > 6
    failures.clear()


async def test_without_telemetry_nothing_is_measured_and_everything_works(
    service: Service, points_url: str
) -> None:
    client = await service(points_url, telemetry=False, slow_query_ms=0)
    with seen(SlowQuery) as lines, seen(RequestEnded) as requests:
        assert await get(client, "/collections/points/items") == 200
        assert await get(client, "/collections/points/items/3") == 200
        await asyncio.sleep(0.1)
    assert (lines, requests) == ([], [])
    assert not client.app[OBSERVED].open_requests


async def test_a_connection_left_in_a_transaction_is_not_used_again(points_url: str) -> None:
    database = Database(settings_for(points_url, pool_min_size=0, pool_max_size=1), points_url)
    await database.open()
    try:
        async with database.connection() as connection:
            await connection.execute("BEGIN; SET LOCAL TIME ZONE 'Asia/Tokyo'")
        rows = await database.fetch(Statement("test.zone", "SELECT current_setting('TimeZone')"))
        assert rows[0][0] == "UTC"
        with pytest.raises(RequestError):
            await database.fetch(Statement("test.broken", "SELECT nothing FROM nowhere"))
    finally:
        await database.close()


async def test_the_collections_know_what_went_on(service: Service, points_url: str) -> None:
    client = await service(points_url, slow_query_ms=0)
    await get(client, "/collections/points/items")
    document = await fetch(client, "/collections")
    assert {each["id"] for each in document["collections"]} == {
        "failing",
        "points",
        "slow",
        "talking",
    }


async def test_a_line_begins_with_what_who_and_why_and_ends_with_the_sql(
    service: Service, points_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = start_log(settings_for(points_url, log_level="info"))
    try:
        client = await service(points_url, slow_query_ms=0)
        agent = "QGIS/3.34 \x1b[31m" + "x" * 500
        headers = {
            "User-Agent": agent.replace("\x1b", "\t"),
            "X-Forwarded-For": "6.6.6.6, 198.51.100.7",
            "Cookie": "secret",
        }
        with seen(SlowQuery) as lines:
            assert (
                await get(
                    client,
                    "/collections/points/items?bbox=0,0,1,1&sortby=-name&count=none",
                    headers=headers,
                )
                == 200
            )
            await until(lambda: any(line.statement == "items.page" for line in lines))
    finally:
        stop()
    written = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    line = next(each for each in written if each.get("statement") == "items.page")
    names = list(line)
    assert names[:5] == ["event", "level", "timestamp", "cause", "advice"]
    assert names[-1] == "sql"
    assert names.index("client") < names.index("sql")
    assert (line["client"], line["shape"], line["origin"]) == (
        "198.51.100.7",
        "bbox sortby=-name",
        "request",
    )
    assert line["user_agent"].startswith("QGIS/3.34 \\t[31mxxx")
    assert len(line["user_agent"]) <= 201
    assert " of " in line["cause"]
    assert line["encode_ms"] >= 0
    assert "secret" not in json.dumps(written)
    assert {
        each["origin"]
        for each in written
        if each.get("statement") in ("catalog.load", "session.set")
    } <= {"geosvc"}


SHAPES = {
    "": "",
    "bbox=0,0,1,1": "bbox",
    "sortby=name": "sortby=name",
    "sortby=-name": "sortby=-name",
    "name=x": "name=",
    "filter=id>3": "filter",
    "bbox=0,0,1,1&sortby=-name,id&name=x&filter=id>3&offset=2": "bbox name= filter sortby=-name,id offset",
}


async def test_statements_of_another_shape_are_told_apart(
    service: Service, points_url: str
) -> None:
    client = await service(points_url, slow_query_ms=0, explain=False)
    for query in SHAPES:
        for _ in range(2):
            assert await get(client, f"/collections/points/items?count=none&{query}") == 200
    found = await fetch(client, "/collections/points/items?limit=2&sortby=name&count=none")
    following = next(link["href"] for link in found["links"] if link["rel"] == "next")
    assert await get(client, urlsplit(following).path + "?" + urlsplit(following).query) == 200
    statistics = client.app[SLOW_QUERIES].statistics
    await until(
        lambda: any(each.shape.endswith("next") for each in statistics.by_fingerprint.values())
    )
    pages = [each for each in statistics.by_fingerprint.values() if each.statement == "items.page"]
    assert sorted(each.shape for each in pages) == sorted([*SHAPES.values(), "sortby=name next"])
    assert {
        each.shape: each.count for each in pages if each.shape != "sortby=name"
    } == dict.fromkeys((shape for shape in SHAPES.values() if shape != "sortby=name"), 2) | {
        "sortby=name next": 1
    }


@pytest.mark.parametrize(("per_row", "is_slow"), [(0.0, True), (1_000.0, False)])
async def test_a_long_export_is_slow_only_for_its_rows(
    service: Service, points_url: str, per_row: float, is_slow: bool
) -> None:
    client = await service(
        points_url, slow_query_ms=1, slow_export_ms_per_row=per_row, explain=False
    )
    with seen(SlowQuery) as lines, seen(RequestEnded) as requests:
        assert await get(client, "/collections/points/export?sortby=name") == 200
        assert await get(client, "/collections/slow/items?seconds=0.05&count=none") == 200
        await until(lambda: len(requests) == 2 and any(line.collection == "slow" for line in lines))
    assert any(line.statement == "items.export" for line in lines) == is_slow


async def test_an_export_of_no_rows_is_slow_as_anything_else(
    service: Service, points_url: str
) -> None:
    client = await service(
        points_url, slow_query_ms=50, slow_export_ms_per_row=1_000, explain=False
    )
    with seen(SlowQuery) as lines:
        assert await get(client, "/collections/slow/export?seconds=0.2&name=nobody") == 200
        line = await until(
            lambda: next((each for each in lines if each.statement == "items.export"), None)
        )
    assert line.threshold_ms == 50

"""The stream of changes: what each edit is told as, to whom, in which order, and how a stream goes
on where it ended.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError, ClientSession
from yarl import URL

from geosvc.http.keys import CATALOG, CHANGE_READER, HUB
from geosvc.model.snapshot import Position, Snapshot
from geosvc.requests.event_id import encode_event_id
from tests.conftest import Client, Service, execute
from tests.events import Event, Stream, subscribed
from tests.http import fetch
from tests.live import CHANGES, connected, publish_now, unpublish_now
from tests.processes import serving, unexpected


@pytest.fixture
async def live(service: Service, live_url: str) -> Client:
    """The service of the published table."""
    return await service(live_url, feed_heartbeat_seconds=0.2)


def told(events: list[Event]) -> list[tuple[str, object]]:
    """(name, id) of events."""
    return [(each.name, each.content.get("id")) for each in events]


async def edit(url: str, *statements: str) -> None:
    """Each statement is a transaction."""
    async with connected(url) as writer:
        for statement in statements:
            await writer.execute(statement)


@pytest.fixture
async def stream(live: Client) -> AsyncIterator[Stream]:
    """Everything that happens."""
    async with subscribed(live, CHANGES) as reading:
        yield reading


async def test_an_edit_by_any_tool_is_told_with_the_feature_as_items_write_it(
    live: Client, live_url: str, stream: Stream
) -> None:
    await edit(
        live_url,
        "INSERT INTO places (id, name, made, geom) VALUES (50, E'a\\nb', '2026-11-21T10:00Z', 'SRID=4326;POINT(8 50)')",
        "UPDATE places SET population = 7, geom = 'SRID=4326;POINT(9 51)' WHERE id = 50",
    )
    inserted, updated = await stream.wait(2)
    now = await fetch(live, "/collections/places/items/50")
    del now["links"]
    assert (inserted.name, updated.name, updated.content) == ("insert", "update", now)
    assert inserted.content["properties"]["name"] == "a\nb"
    assert inserted.content["geometry"]["coordinates"] == [8, 50]
    await edit(live_url, "DELETE FROM places WHERE id = 50")
    deleted = (await stream.wait(3))[2]
    assert (deleted.name, deleted.content) == ("delete", {"id": 50, "bbox": [9.0, 51.0, 9.0, 51.0]})


async def test_what_is_rolled_back_is_not_told_and_a_transaction_comes_whole(
    live_url: str, stream: Stream
) -> None:
    async with connected(live_url) as first, connected(live_url) as second:
        long, lost = first.transaction(), second.transaction()
        await long.start()
        await first.execute("UPDATE places SET population = 10 WHERE id = 1")
        await lost.start()
        await second.execute("UPDATE places SET population = 20 WHERE id = 2")
        await edit(live_url, "UPDATE places SET population = 30 WHERE id = 3")
        await stream.wait(1)
        await first.execute("UPDATE places SET population = 40 WHERE id = 4")
        await first.execute("SAVEPOINT s")
        await first.execute("UPDATE places SET population = 50 WHERE id = 5")
        await first.execute("ROLLBACK TO SAVEPOINT s")
        await lost.rollback()
        await edit(live_url, "UPDATE places SET population = 60 WHERE id = 6")
        await stream.wait(2)
        await long.commit()
        events = await stream.wait(4)
    assert told(events) == [("update", 3), ("update", 6), ("update", 1), ("update", 4)]


async def test_statements_of_many_rows_and_truncate_are_told_as_one(
    live_url: str, stream: Stream
) -> None:
    many = "INSERT INTO places (geom) SELECT ST_SetSRID(ST_Point(n % 10, 20), 4326) FROM generate_series(1, 2000) n"
    await edit(
        live_url, many, "UPDATE places SET geom = ST_Translate(geom, 0, 1)", "TRUNCATE places"
    )
    events = await stream.wait(3)
    assert [(each.name, each.content) for each in events] == [
        ("bulk", {"operation": "insert", "rows": 2000, "bbox": [0.0, 20.0, 9.0, 20.0]}),
        ("bulk", {"operation": "update", "rows": 2009, "bbox": [0.0, 1.0, 9.0, 21.0]}),
        ("bulk", {"operation": "truncate", "rows": None, "bbox": None}),
    ]


async def test_what_enters_a_filter_is_inserted_and_what_leaves_it_deleted(
    live: Client, live_url: str
) -> None:
    async with subscribed(
        live, f"{CHANGES}?filter=population%20%3E%20100&properties=name"
    ) as stream:
        await edit(
            live_url,
            "UPDATE places SET population = 50 WHERE id = 1",
            "UPDATE places SET population = 150 WHERE id = 1",
            "UPDATE places SET population = 160 WHERE id = 1",
            "UPDATE places SET population = 90 WHERE id = 1",
            "UPDATE places SET population = NULL WHERE id = 1",
            "UPDATE places SET population = 170 WHERE id IN (1, 2)",
            "DELETE FROM places WHERE id IN (1, 3)",
        )
        events = await stream.wait(6)
    assert told(events) == [
        ("insert", 1),
        ("update", 1),
        ("delete", 1),
        ("insert", 1),
        ("insert", 2),
        ("delete", 1),
    ]
    assert events[1].content["properties"] == {"name": "place 1"}


async def test_what_enters_a_box_is_inserted_and_what_leaves_it_deleted(
    live: Client, live_url: str
) -> None:
    box = "bbox=19,19,31,31"
    # its own box meets the box, and it does not
    line = "ST_GeomFromText('LINESTRING(18 30, 20 33)', 4326)"
    async with (
        subscribed(live, f"{CHANGES}?{box}") as stream,
        subscribed(live, f"{CHANGES}?{box}&filter=id%20%3C%205") as few,
    ):
        await edit(
            live_url,
            "UPDATE places SET geom = ST_SetSRID(ST_Point(20, 20), 4326) WHERE id IN (1, 8)",
            "UPDATE places SET geom = ST_SetSRID(ST_Point(25, 25), 4326) WHERE id = 1",
            f"UPDATE places SET geom = {line} WHERE id = 1",
            "UPDATE places SET geom = NULL WHERE id = 1",
            "UPDATE places SET geom = 'SRID=4326;POINT EMPTY' WHERE id = 1",
            "UPDATE places SET geom = ST_SetSRID(ST_Point(32, 32), 4326) WHERE id = 1",
            "INSERT INTO places (id, geom) SELECT 1000 + n, ST_SetSRID(ST_Point(80, 8), 4326)"
            " FROM generate_series(1, 1001) n",
            "UPDATE places SET geom = ST_SetSRID(ST_Point(31, 31), 4326) WHERE id IN (2, 9)",
        )
        events = await stream.wait(8)
        selected = await few.wait(6)
    assert told(events) == [
        *[("insert", 1), ("insert", 8), ("update", 1), ("delete", 1)],
        *[
            ("insert", 1),
            ("delete", 1),
        ],  # without a geometry it meets every box, with an empty one none, as in items
        *[("insert", 2), ("insert", 9)],
    ]
    assert told(selected) == [each for each in told(events) if each[1] in (1, 2)]


async def test_a_box_across_the_antimeridian_and_one_of_another_reference_system(
    live: Client, live_url: str
) -> None:
    metres = (
        "bbox=2000000,2000000,3000000,3000000&bbox-crs=http://www.opengis.net/def/crs/EPSG/0/3857"
    )
    async with (
        subscribed(live, f"{CHANGES}?bbox=170,-10,-170,10") as across,
        subscribed(live, f"{CHANGES}?{metres}") as there,
    ):
        await edit(
            live_url,
            "UPDATE places SET geom = ST_SetSRID(ST_Point(175, 0), 4326) WHERE id = 1",
            "UPDATE places SET geom = ST_SetSRID(ST_Point(-175, 0), 4326) WHERE id = 1",
            "UPDATE places SET geom = ST_SetSRID(ST_Point(20, 20), 4326) WHERE id = 1",
        )
        assert told(await across.wait(3)) == [("insert", 1), ("update", 1), ("delete", 1)]
        assert told(await there.wait(1)) == [("insert", 1)]


async def test_the_parameters_of_a_feature_say_how_it_is_told(live: Client, live_url: str) -> None:
    path = f"{CHANGES}?skipGeometry=true&bigint=string&name=place%201"
    async with subscribed(live, path) as stream:
        await edit(live_url, "UPDATE places SET population = 3 WHERE id IN (1, 2)")
        (event,) = await stream.wait(1)
    assert (event.content["id"], event.content["geometry"]) == ("1", None)


async def test_a_stream_goes_on_behind_any_event(
    live: Client, service: Service, live_url: str, stream: Stream
) -> None:
    async with connected(live_url) as writer, writer.transaction():
        for place in (1, 2, 3):
            await writer.execute("UPDATE places SET population = -1 WHERE id = $1", place)
    await edit(
        live_url,
        "UPDATE places SET population = -2 WHERE id IN (4, 5)",
        "DELETE FROM places WHERE id = 6",
    )
    events = await stream.wait(6)
    other = await service(live_url)  # another process, or the same after a restart
    for number in range(6):
        async with subscribed(other, CHANGES, events[number].id) as again:
            await edit(live_url, f"UPDATE places SET population = {number} WHERE id = 9")
            rest = await again.wait(6)
            assert [(each.name, each.text) for each in rest[: 5 - number]] == [
                (each.name, each.text) for each in events[number + 1 : 6]
            ]
            assert rest[-1].content["properties"]["population"] == number
    async with subscribed(other, f"{CHANGES}?last-event-id={events[4].id}") as again:
        assert told(await again.wait(1))[:1] == [("delete", 6)]


async def test_a_quiet_stream_shows_that_it_is_alive_and_moves_its_place(
    live: Client, live_url: str
) -> None:
    async with subscribed(live, f"{CHANGES}?filter=id%3D0") as stream:
        begun = stream.last_id
        await edit(live_url, "UPDATE places SET population = 1 WHERE id = 1")
        async with asyncio.timeout(10):
            async with stream.changed:
                await stream.changed.wait_for(lambda: stream.last_id != begun)
    assert not stream.events


async def test_who_was_away_for_long_is_told_to_read_anew(
    live: Client, live_url: str, stream: Stream
) -> None:
    begun = stream.last_id
    await edit(live_url, "UPDATE places SET population = 1 WHERE id = 1")
    await stream.wait(1)
    await edit(
        live_url,
        "UPDATE geosvc.publication SET pruned_to = (SELECT xid FROM geosvc.change ORDER BY seq"
        " DESC LIMIT 1)",
    )
    async with subscribed(live, CHANGES, begun) as again:
        (event,) = await again.wait(1)
        assert event.name == "resync"
        await edit(live_url, "UPDATE places SET population = 2 WHERE id = 1")
        assert told(await again.wait(2))[1] == ("update", 1)


@pytest.mark.parametrize("change", ["epoch", "future"])
async def test_an_id_of_another_log_is_answered_with_resync(
    live: Client, change: str, stream: Stream
) -> None:
    epoch, snapshot = stream.last_id.split("-")
    xmin = int(snapshot.split(".")[0])
    if change == "epoch":
        strange = f"{'0' * 12}-{snapshot}"
    else:
        strange = encode_event_id(epoch, Position(Snapshot(xmin + 10**9, xmin + 10**9)))
    async with subscribed(live, CHANGES, strange) as again:
        assert [each.name for each in await again.wait(1)] == ["resync"]


async def test_a_listener_that_is_killed_loses_nothing(
    live: Client, live_url: str, stream: Stream
) -> None:
    async with connected(live_url) as writer:
        for number in range(5):
            await writer.execute("UPDATE places SET population = $1 WHERE id = 1", number)
            assert live.server is not None
            feed = live.server.app[CHANGE_READER]._feed  # type: ignore[attr-defined]
            assert feed is not None
            await writer.execute(
                "SELECT pg_terminate_backend($1)", feed._connection.get_server_pid()
            )
            await writer.execute("UPDATE places SET population = $1 WHERE id = 2", number)
            await stream.wait(2 * number + 2)
            assert await live.server.app[CHANGE_READER].ready(10)  # type: ignore[attr-defined]
    expected = [(place, number) for number in range(5) for place in (1, 2)]
    assert [
        (each.content["id"], each.content["properties"]["population"]) for each in stream.events
    ] == expected


async def test_unpublishing_ends_the_streams_and_publishing_again_begins_anew(
    live: Client, live_url: str, stream: Stream
) -> None:
    begun = stream.last_id
    await asyncio.to_thread(unpublish_now, live_url, "places")
    await stream.until_ended()
    await fetch(live, CHANGES, 409)
    await edit(live_url, "UPDATE places SET population = 1 WHERE id = 1")
    await asyncio.to_thread(publish_now, live_url, "places")
    async with subscribed(live, CHANGES, begun) as again:
        assert [each.name for each in await again.wait(1)] == ["resync"]


async def test_a_table_that_is_altered_under_a_filter_ends_the_stream_with_resync(
    live: Client, live_url: str
) -> None:
    async with subscribed(live, f"{CHANGES}?filter=population%20%3E%201") as stream:
        await edit(
            live_url,
            "ALTER TABLE places RENAME population TO people",
            "UPDATE places SET people = 5 WHERE id = 1",
        )
        await stream.wait(1)
        assert stream.events[0].name in ("bulk", "resync")
    assert live.server is not None
    await live.server.app[CATALOG].look()  # type: ignore[attr-defined]
    await fetch(live, f"{CHANGES}?filter=population%20%3E%201", 400)


async def test_features_that_the_log_or_postgis_cannot_tell_are_told_by_id_and_box(
    live_url: str, stream: Stream
) -> None:
    await edit(
        live_url,
        "UPDATE places SET name = repeat(md5('x'), 5000) WHERE id = 1",
        "UPDATE places SET geom = ST_GeomFromText('POINT(NaN 5)', 4326) WHERE id = 2",
        "UPDATE places SET population = 1 WHERE id = 3",
    )
    large, strange, plain = await stream.wait(3)
    assert (large.name, large.content) == ("update", {"id": 1, "bbox": [1.0, 1.0, 1.0, 1.0]})
    assert strange.name == "update"
    assert strange.content["id"] == 2
    assert plain.content["properties"]["population"] == 1


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/collections/nothing/changes", 404, "nothing"),
        ("/collections/plain/changes", 409, "geosvc publish plain"),
        (f"{CHANGES}?last-event-id=7", 400, "last-event-id"),
        (f"{CHANGES}?limit=7", 400, "limit"),
        (f"{CHANGES}?sortby=name", 400, "sortby"),
        (f"{CHANGES}?f=json", 400, "'f'"),
        (f"{CHANGES}?nothing=7", 400, "nothing"),
        (f"{CHANGES}?filter=nothing%3D7", 400, "nothing"),
        (f"{CHANGES}?filter=name%3E", 400, "filter"),
        (f"{CHANGES}?bbox=1,2,3", 400, "bbox"),
    ],
)
async def test_bad_input_is_told_before_the_stream_begins(
    live: Client, path: str, status: int, said: str
) -> None:
    problem = await fetch(live, path, status)
    assert said in f"{problem.get('parameter')} {problem['detail']}"


async def test_a_malformed_header_is_a_400_and_another_media_type_a_406(live: Client) -> None:
    problem = await fetch(live, CHANGES, 400, headers={"Last-Event-ID": "'; DROP TABLE places; --"})
    assert problem["parameter"] == "Last-Event-ID"
    await fetch(live, CHANGES, 406, headers={"Accept": "application/json"})


async def test_more_subscribers_than_there_are_places_are_sent_away_for_a_while(
    service: Service, live_url: str
) -> None:
    client = await service(live_url, max_subscribers=1)
    async with subscribed(client, CHANGES), client.get(CHANGES) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert (await response.json())["type"].endswith("too-many-subscribers")
    assert client.server is not None
    hub = client.server.app[HUB]  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        while hub.size:
            await asyncio.sleep(0)
    async with subscribed(client, CHANGES):
        assert hub.size == 1


async def test_browsers_of_other_origins_may_subscribe_and_nothing_is_compressed_or_kept(
    live: Client,
) -> None:
    headers = {
        "Origin": "https://example.org",
        "Accept": "text/event-stream",
        "Accept-Encoding": "gzip, zstd",
    }
    async with live.get(CHANGES, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert "Content-Encoding" not in response.headers
    async with live.head(CHANGES) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")


async def test_who_does_not_keep_up_is_cut_off_and_goes_on_later(
    service: Service, live_url: str
) -> None:
    client = await service(live_url, max_waiting_bytes=4_096)
    assert client.server is not None
    hub = client.server.app[HUB]  # type: ignore[attr-defined]
    async with client.get(URL(CHANGES), timeout=None) as response:
        assert response.status == 200
        begun = (await response.content.readuntil(b"\n\n")).decode().rpartition("id: ")[2].strip()
        async with connected(live_url) as writer:
            async with asyncio.timeout(30):
                while not hub.counters.dropped:
                    await writer.execute("UPDATE places SET name = repeat('x', 60000) WHERE id < 9")
        with pytest.raises((ClientPayloadError, ClientConnectionError)):
            await response.read()
    async with subscribed(client, CHANGES, begun) as again:
        await edit(live_url, "UPDATE places SET name = 'end' WHERE id = 9")
        async with asyncio.timeout(20), again.changed:
            await again.changed.wait_for(lambda: any('"end"' in each.text for each in again.events))
    assert [each.content["id"] for each in again.events[:-1]] == [*range(1, 9)] * (
        len(again.events) // 8
    )


def test_streams_end_at_once_when_the_service_stops(live_url: str) -> None:
    with serving(live_url) as running:

        async def subscribe() -> float:
            async with (
                ClientSession() as session,
                session.get(f"{running.url}{CHANGES}") as response,
            ):
                assert response.status == 200
                await response.content.readuntil(b"\n\n")
                running.process.send_signal(signal.SIGTERM)
                began = asyncio.get_running_loop().time()
                await response.read()  # a whole body: the client comes back
                return asyncio.get_running_loop().time() - began

        assert asyncio.run(subscribe()) < 5
        assert running.stop() == 0
    assert not unexpected(running)


async def test_composite_keys_and_odd_names_are_told_as_items_write_them(
    service: Service, bare_live_url: str
) -> None:
    client = await service(bare_live_url)
    async with subscribed(client, "/collections/odd/changes") as stream:
        await edit(bare_live_url, """UPDATE odd SET "t" = 'new', "a ""b" = '2', "g2" = "Geom";""")
        (event,) = await stream.wait(1)
    page = await fetch(client, "/collections/odd/items")
    assert [event.content] == page["features"]
    assert event.content["id"] == json.loads('"x\\\\,y,2026-11-21"')


@pytest.fixture
def bare_live_url(live_url: str) -> str:
    """A table with a composite key, odd names and two geometries."""
    execute(
        live_url,
        """CREATE TABLE odd ("key,1" text, "select" date, "a ""b" jsonb, t text, rows int[], "Geom" geometry(Polygon, 3857),
           g2 geometry, PRIMARY KEY ("key,1", "select"));
           INSERT INTO odd VALUES ('x,y', '2026-11-21', '{"a": [1, "\\u00e4"]}', 'old', '{1,2}',
                                   ST_MakeEnvelope(0, 0, 1000, 1000, 3857), NULL)""",
    )
    publish_now(live_url, "odd")
    return live_url


async def test_a_second_geometry_is_told_as_a_collection_of_its_own(
    service: Service, bare_live_url: str
) -> None:
    client = await service(bare_live_url)
    large = "repeat(md5('x'), 9999)"
    async with (
        subscribed(client, "/collections/odd.g2/changes?bbox=50,50,51,51") as second,
        subscribed(client, "/collections/odd/changes?bbox=50,50,51,51") as first,
    ):
        await edit(
            bare_live_url,
            "UPDATE odd SET g2 = 'SRID=4326;POINT(50.5 50.5)'",
            "UPDATE odd SET g2 = 'SRID=4326;POINT(9 9)'",
            # too large for the log, which knows nothing of this geometry then
            f"UPDATE odd SET t = {large}",
        )
        events = await second.wait(3)
        assert [each.name for each in events] == [
            "update",
            "delete",
            "insert",
        ]  # it had none, which meets every box
        assert events[0].content["geometry"]["coordinates"] == [50.5, 50.5]
        assert events[2].content == {"id": "x\\,y,2026-11-21", "bbox": None}
    assert not first.events


async def test_rows_that_policies_hide_are_told_to_nobody(
    service: Service, live_url: str, server_url: str
) -> None:
    await edit(
        live_url,
        "DO $$ BEGIN CREATE ROLE geosvc_reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL;"
        " END $$",
        "GRANT SELECT ON places TO geosvc_reader; GRANT USAGE ON SCHEMA geosvc TO geosvc_reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA geosvc TO geosvc_reader",
        "ALTER TABLE places ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON places USING (id < 3)",
    )
    parts = urlsplit(live_url)
    netloc = f"geosvc_reader@{parts.netloc.rpartition('@')[2]}"
    client = await service(parts._replace(netloc=netloc).geturl())
    assert len((await fetch(client, "/collections/places/items"))["features"]) == 2
    problem = await fetch(client, CHANGES, 403)
    assert "policies" in problem["detail"]
    described = await fetch(client, "/collections/places")
    assert "hub" not in [each["rel"] for each in described["links"]]
    async with client.get("/collections/places/items?f=html") as page:
        assert "/changes" not in await page.text()


async def test_a_column_that_is_newer_than_the_publication_makes_features_be_told_by_id(
    live: Client, live_url: str, stream: Stream
) -> None:
    assert live.server is not None
    catalog = live.server.app[CATALOG]  # type: ignore[attr-defined]
    await edit(live_url, "ALTER TABLE places ADD COLUMN more int")
    await catalog.look()
    await edit(live_url, "UPDATE places SET more = 5 WHERE id = 1")
    await stream.wait(1)
    await asyncio.to_thread(publish_now, live_url, "places")
    await catalog.look()
    await edit(live_url, "UPDATE places SET more = 6 WHERE id = 1")
    by_id, whole = await stream.wait(2)
    assert by_id.content == {"id": 1, "bbox": [1.0, 1.0, 1.0, 1.0]}
    assert whole.content["properties"]["more"] == 6


async def test_who_keeps_up_is_told_of_many_large_features_without_being_cut_off(
    live: Client, live_url: str, stream: Stream
) -> None:
    made = "SELECT i, repeat(md5(i::text), 1000), NULL FROM generate_series(1001, 1400) i"
    await edit(live_url, f"INSERT INTO places (id, name, geom) {made}")
    events = await stream.wait(400, 30)
    assert [len(each.text) > 32_000 for each in events] == [True] * 400
    assert [each.content["id"] for each in events] == [*range(1001, 1401)]


async def test_one_connection_is_enough_for_many_changes(service: Service, live_url: str) -> None:
    client = await service(live_url, pool_min_size=1, pool_max_size=1)
    async with subscribed(client, CHANGES) as stream:
        await edit(live_url, "INSERT INTO places (id) SELECT generate_series(1001, 1700)")
        events = await stream.wait(700)
    assert [each.content["id"] for each in events] == [*range(1001, 1701)]

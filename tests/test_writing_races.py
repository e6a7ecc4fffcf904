"""Writers who meet: nothing is lost, deadlocks are tried again, and a client that hangs up leaves
nothing half-way.
"""

import asyncio
import json
from collections import Counter
from urllib.parse import urlsplit

import pytest

from geosvc.events import WriteRetried
from geosvc.http.keys import WRITE_DATABASE
from tests.bulk_bodies import ask, quiet
from tests.conftest import Client, execute
from tests.observing import seen, until
from tests.posting import MERGE_PATCH, feature, point, send, with_tables, writable

TABLES = """
CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, note text, geom geometry(Point, 4326));
INSERT INTO counters SELECT i, 0, NULL, 'SRID=4326;POINT(25 60)' FROM generate_series(1, 3) i;
CREATE TABLE words (id int PRIMARY KEY, note text);
INSERT INTO words SELECT i, 'w' FROM generate_series(1, 3) i;
CREATE VIEW joined AS SELECT c.id, c.n, w.note, c.geom FROM counters c JOIN words w USING (id);
CREATE FUNCTION write_joined() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE counters SET n = NEW.n, geom = NEW.geom WHERE id = OLD.id;
        UPDATE words SET note = NEW.note WHERE id = OLD.id;
        RETURN NEW;
    END IF;
    DELETE FROM counters WHERE id = OLD.id; DELETE FROM words WHERE id = OLD.id; RETURN OLD; END $$;
CREATE TRIGGER write_joined INSTEAD OF UPDATE OR DELETE ON joined FOR EACH ROW EXECUTE FUNCTION write_joined();
CREATE TABLE shrinking (id serial PRIMARY KEY, n int, later int, geom geometry(Point, 4326));
CREATE VIEW plain AS SELECT id, n, note, geom FROM counters;
CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.note = 'slow' THEN PERFORM pg_sleep(0.7); END IF;
    IF NEW.note = 'crossed' THEN
        PERFORM pg_sleep(0.3);
        UPDATE counters SET note = 'touched' WHERE id = 3 - NEW.id;
    END IF;
    RETURN NEW; END $$;
CREATE TRIGGER pause AFTER INSERT OR UPDATE ON counters FOR EACH ROW EXECUTE FUNCTION pause();
"""
CLIENTS, TIMES = 50, 2
ITEM = "counters/items/1"
url = with_tables(TABLES)
client = writable(collections={"joined": {"key": ["id"]}, "plain": {"key": ["id"]}})


async def add_one(client: Client, path: str) -> Counter[int]:
    """Reads a number and writes the next under If-Match until that was done so many times.

    Returns the statuses.
    """
    found: Counter[int] = Counter()
    while found[204] < TIMES:
        headers, body = await send(client, "GET", path)
        patch = json.dumps({"properties": {"n": body["properties"]["n"] + 1}}).encode()
        given = {"Content-Type": MERGE_PATCH, "If-Match": headers["ETag"]}
        async with client.patch(f"/collections/{path}", data=patch, headers=given) as response:
            found[response.status] += 1
            assert response.status in (204, 412), await response.text()
    return found


@pytest.mark.parametrize("collection", ["counters", "plain", "joined"])
async def test_fifty_clients_that_count_lose_nothing(client: Client, collection: str) -> None:
    found = await asyncio.gather(
        *(add_one(client, f"{collection}/items/1") for _ in range(CLIENTS))
    )
    assert (await send(client, "GET", f"{collection}/items/1"))[1]["properties"][
        "n"
    ] == CLIENTS * TIMES
    assert sum(statuses[412] for statuses in found) > 0


async def test_of_many_who_replace_or_delete_the_same_version_one_succeeds(client: Client) -> None:
    etag = (await send(client, "GET", ITEM))[0]["ETag"]
    body = json.dumps(feature(point(), n=1)).encode()
    given = {"Content-Type": "application/geo+json", "If-Match": etag}
    requests = [
        client.request(
            "DELETE" if number % 2 else "PUT", f"/collections/{ITEM}", data=body, headers=given
        )
        for number in range(20)
    ]
    statuses = Counter(response.status for response in await asyncio.gather(*requests))
    assert statuses[204] == 1
    assert set(statuses) <= {204, 412, 404}


@pytest.mark.parametrize("collection", ["counters", "joined"])
async def test_changes_of_different_properties_do_not_undo_each_other(
    client: Client, collection: str
) -> None:
    """A merge patch changes what it names alone, without any precondition."""
    path = f"{collection}/items/1"
    numbers = [{"properties": {"n": number}} for number in range(1, 16)]
    texts = [{"properties": {"note": f"text {number}"}} for number in range(1, 16)]
    await asyncio.gather(
        *(send(client, "PATCH", path, patch, 204, kind=MERGE_PATCH) for patch in numbers + texts)
    )
    properties = (await send(client, "GET", path))[1]["properties"]
    assert properties["n"] > 0
    assert properties["note"].startswith("text ")


async def test_a_deadlock_of_two_changes_is_tried_again(client: Client) -> None:
    """Each holds its own row when it asks for the other's."""
    patch = {"properties": {"note": "crossed"}}
    with seen(WriteRetried) as retried:
        await asyncio.gather(
            *(
                send(client, "PATCH", f"counters/items/{n}", patch, 204, kind=MERGE_PATCH)
                for n in (1, 2)
            )
        )
    assert "40P01" in {event.sqlstate for event in retried}


async def database_at_work(url: str) -> None:
    """Waits until a trigger takes its time."""
    async with asyncio.timeout(5):
        while not await ask(
            url,
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event ="
            " 'PgSleep'",
        ):
            await asyncio.sleep(0.01)


async def hang_up(client: Client, method: str, path: str, body: bytes, kind: str, url: str) -> None:
    """Sends a request and closes the connection when the database is at work."""
    parts = urlsplit(str(client.make_url("/")))
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"{method} /collections/{path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    await database_at_work(url)
    writer.transport.abort()


@pytest.mark.parametrize("key", ["", "once"])
async def test_a_write_whose_client_hangs_up_is_completed(
    client: Client, url: str, key: str
) -> None:
    assert client.app is not None
    database = client.app[WRITE_DATABASE]
    collection = "plain" if key else "counters"  # a statement alone, and a transaction
    patch = json.dumps({"properties": {"note": "slow", "n": 5}}).encode()
    with quiet():
        await hang_up(client, "PATCH", f"{collection}/items/1", patch, MERGE_PATCH, url)
        await until(lambda: database.in_use == 0)
    properties = (await send(client, "GET", ITEM))[1]["properties"]
    assert (properties["n"], properties["note"]) == (5, "slow")
    with quiet():
        await hang_up(
            client,
            "POST",
            f"{collection}/items",
            json.dumps(new_slow()).encode(),
            "application/geo+json",
            url,
        )
        await until(lambda: database.in_use == 0)
    assert (await send(client, "GET", "counters/items/17"))[1]["properties"]["note"] == "slow"


def new_slow() -> dict[str, object]:
    """A feature whose trigger takes its time."""
    return {**feature(point(), id=17, n=1, note="slow"), "id": "17"}


async def test_writes_that_run_when_the_service_stops_are_completed(
    client: Client, url: str
) -> None:
    patch = {"properties": {"note": "slow", "n": 9}}
    running = asyncio.create_task(send(client, "PATCH", ITEM, patch, None, kind=MERGE_PATCH))
    await database_at_work(url)
    running.cancel()
    await client.close()
    assert await ask(url, "SELECT n FROM counters WHERE id = 1") == [(9,)]


async def test_a_table_that_is_altered_meanwhile_is_written_to_all_the_same(
    client: Client, url: str
) -> None:
    await send(client, "POST", "shrinking/items", feature(point(), n=1), 201)
    await asyncio.to_thread(execute, url, "ALTER TABLE shrinking DROP COLUMN later")
    await send(client, "POST", "shrinking/items", feature(point(), n=2), 201)

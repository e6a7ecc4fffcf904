"""Connections to the database that die without a word: a request finds out within a moment, and
reads on another.
"""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from geosvc.http.keys import DATABASE
from tests.blackhole import blackhole
from tests.conftest import Service, execute
from tests.http import fetch
from tests.processes import serving
from tests.test_serving import eventually, get

TABLE = """CREATE TABLE t (id int PRIMARY KEY, geom geometry(Point, 4326));
INSERT INTO t SELECT i, ST_SetSRID(ST_Point(i, 1), 4326) FROM generate_series(1, 9) i"""
SILENCE = 0.5
ALONE = {
    "catalog_poll_seconds": "3600",
    "pool_min_size": "0",
    "pool_max_size": "12",
    "db_ssl_mode": "disable",
}


@pytest.fixture
def url(bare_database_url: str) -> str:
    execute(bare_database_url, TABLE)
    return bare_database_url


def test_idle_connections_that_a_firewall_forgot_cost_nobody_an_answer(url: str) -> None:
    settings = {
        **ALONE,
        "db_silence_seconds": str(SILENCE),
        "statement_timeout_seconds": "2",
        "collection_pool_share": "1",
    }
    with (
        blackhole(url) as proxy,
        serving(proxy.url, **settings) as running,
        ThreadPoolExecutor(9) as pool,
    ):

        def ask(number: int) -> int:
            return get(f"{running.url}/collections/t/items?limit=3&offset={number}")[0]

        assert list(pool.map(ask, range(9))) == [200] * 9
        proxy.forget()
        forgotten, at = len(proxy.flows), time.monotonic()
        eventually(lambda: time.monotonic() - at > SILENCE)  # they rest
        assert list(pool.map(ask, range(9))) == [200] * 9
        assert len(proxy.flows) > forgotten


def test_a_connection_that_has_rested_is_asked_and_kept(url: str) -> None:
    settings = {**ALONE, "db_silence_seconds": str(SILENCE), "pool_max_size": "1"}
    with blackhole(url) as proxy, serving(proxy.url, **settings) as running:
        assert get(f"{running.url}/collections/t/items")[0] == 200
        flows = len(proxy.flows)
        for number in range(3):
            at = time.monotonic()
            eventually(lambda at=at: time.monotonic() - at > 2 * SILENCE)  # type: ignore[misc]  # the type of a default
            assert get(f"{running.url}/collections/t/items?offset={number}")[0] == 200
        assert len(proxy.flows) == flows


def test_one_that_dies_under_a_statement_warns_of_the_others(url: str) -> None:
    settings = {
        **ALONE,
        "db_silence_seconds": "1",
        "statement_timeout_seconds": "1",
        "collection_pool_share": "1",
    }
    with (
        blackhole(url) as proxy,
        serving(proxy.url, **settings) as running,
        ThreadPoolExecutor(4) as pool,
    ):

        def ask(number: int) -> int:
            return get(f"{running.url}/collections/t/items?limit=3&offset={number}")[0]

        assert list(pool.map(ask, range(4))) == [200] * 4
        proxy.forget()
        assert ask(5) in (200, 503)  # not 504, which would tell the client to ask for less
        assert list(pool.map(ask, range(4))) == [200] * 4


async def test_the_system_is_told_to_look_after_connections(service: Service, url: str) -> None:
    with blackhole(url) as proxy:
        client = await service(proxy.url, db_silence_seconds=3, db_ssl_mode="disable")
        await fetch(client, "/collections/t/items")
        async with client.app[DATABASE].connection() as connection:
            end = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        await client.close()

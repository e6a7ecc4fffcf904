"""TLS to a server with a private CA: verified, with client certificates, direct, and never a
fallback to plain text.
"""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from geosvc.devdb.cluster import SUPERUSER, Cluster
from geosvc.devdb.server_user import server_user
from tests.conftest import FAST, Service, execute
from tests.http import fetch
from tests.pooler import free_port

TABLE = """CREATE EXTENSION postgis; CREATE TABLE points (id int PRIMARY KEY, geom geometry(Point, 4326));
INSERT INTO points SELECT i, ST_SetSRID(ST_Point(i, 1), 4326) FROM generate_series(1, 20) i"""


@dataclass(frozen=True)
class Secure:
    """A server that takes TLS only, its CA, another CA, and a client's certificate."""

    cluster: Cluster
    port: int
    authority: trustme.CA
    root: Path
    other_root: Path
    certificate: Path
    key: Path

    def url(self, host: str = "localhost", user: str = SUPERUSER) -> str:
        """The DSN by TCP."""
        return f"postgresql://{user}@{host}:{self.port}/postgres"


@pytest.fixture(scope="session")
def secure(cluster_folder: Path) -> Iterator[Secure]:
    folder = cluster_folder / "tls"
    folder.mkdir()
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "root.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    issued = authority.issue_cert("localhost")
    client = authority.issue_cert("certified@example.org", common_name="certified")
    client.private_key_pem.write_to_path(folder / "client.key")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    issued.private_key_pem.write_to_path(folder / "server.key")
    issued.cert_chain_pems[0].write_to_path(folder / "server.pem")
    (folder / "server.key").chmod(0o600)
    owner = server_user()
    port = free_port()
    cluster = Cluster(
        folder / "cluster",
        port,
        {
            **FAST,
            "listen_addresses": "127.0.0.1",
            "ssl": "on",
            "ssl_cert_file": str(folder / "server.pem"),
            "ssl_key_file": str(folder / "server.key"),
            "ssl_ca_file": str(folder / "root.pem"),
        },
    )
    if owner is not None:
        shutil.chown(folder / "server.key", owner.pw_uid)
    cluster.start()
    hba = cluster.data / "pg_hba.conf"
    hba.write_text(
        "local all all trust\nhostssl all certified all cert\nhostssl all all all trust\nhostnossl all all all reject\n"
    )
    cluster.query("postgres", "SELECT pg_reload_conf()")
    execute(cluster.url("postgres", SUPERUSER), TABLE + "; CREATE ROLE certified SUPERUSER LOGIN")
    yield Secure(
        cluster,
        port,
        authority,
        folder / "root.pem",
        folder / "other.pem",
        folder / "client.pem",
        folder / "client.key",
    )
    cluster.stop()


async def test_a_private_ca_is_verified(service: Service, secure: Secure) -> None:
    client = await service(secure.url(), db_ssl_mode="verify-full", db_ssl_root_cert=secure.root)
    assert (await fetch(client, "/collections/points/items?limit=5"))["numberReturned"] == 5


async def test_sslmode_in_the_url_counts_too(service: Service, secure: Secure) -> None:
    client = await service(secure.url() + "?sslmode=verify-full", db_ssl_root_cert=secure.root)
    assert (await fetch(client, "/collections/points/items/3"))["id"] == 3


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
async def test_a_server_of_another_ca_is_refused(
    service: Service, secure: Secure, mode: str
) -> None:
    client = await service(secure.url(), db_ssl_mode=mode, db_ssl_root_cert=secure.other_root)
    problem = await fetch(client, "/collections/points/items", status=503)
    assert problem["type"] == "urn:geosvc:problem:database-unavailable"


async def test_the_systems_authorities_do_not_vouch_for_a_private_ca(
    service: Service, secure: Secure
) -> None:
    client = await service(secure.url(), db_ssl_mode="verify-full")
    await fetch(client, "/collections/points/items", status=503)


async def test_verify_full_checks_the_name_and_verify_ca_does_not(
    service: Service, secure: Secure
) -> None:
    wrong_name = await service(
        secure.url("127.0.0.1"), db_ssl_mode="verify-full", db_ssl_root_cert=secure.root
    )
    await fetch(wrong_name, "/collections/points/items", status=503)
    any_name = await service(
        secure.url("127.0.0.1"), db_ssl_mode="verify-ca", db_ssl_root_cert=secure.root
    )
    await fetch(any_name, "/collections/points/items")


async def test_plain_text_is_not_tried_when_tls_is_wanted(
    service: Service, server_url: str, cluster_folder: Path
) -> None:
    port = free_port()
    plain = Cluster(cluster_folder / "plain", port, {**FAST, "listen_addresses": "127.0.0.1"})
    await asyncio.to_thread(plain.start)
    (plain.data / "pg_hba.conf").write_text("local all all trust\nhost all all all trust\n")
    await asyncio.to_thread(plain.query, "postgres", "SELECT pg_reload_conf()")
    await asyncio.to_thread(execute, plain.url("postgres", SUPERUSER), TABLE)
    url = f"postgresql://{SUPERUSER}@127.0.0.1:{port}/postgres"
    try:
        for mode in ("require", "verify-ca", "verify-full"):
            client = await service(url, db_ssl_mode=mode)
            await fetch(client, "/collections/points/items", status=503)
        client = await service(url, db_ssl_mode="disable")
        await fetch(client, "/collections/points/items")
    finally:
        await asyncio.to_thread(plain.remove)


async def test_a_client_certificate_lets_in(service: Service, secure: Secure) -> None:
    url = secure.url(user="certified")
    bare = await service(url, db_ssl_mode="verify-full", db_ssl_root_cert=secure.root)
    await fetch(bare, "/collections/points/items", status=503)
    certified = await service(
        url,
        db_ssl_mode="verify-full",
        db_ssl_root_cert=secure.root,
        db_ssl_cert=secure.certificate,
        db_ssl_key=secure.key,
    )
    await fetch(certified, "/collections/points/items")


@asynccontextmanager
async def direct_tls_proxy(secure: Secure) -> AsyncIterator[int]:
    """TLS from the first byte, as PostgreSQL 17 and TLS-terminating proxies take it, in front of
    the Unix socket.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secure.authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["postgresql"])

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "postgresql"
        path = secure.cluster.socket_folder / f".s.PGSQL.{secure.port}"
        upstream, downstream = await asyncio.open_unix_connection(str(path))
        await asyncio.gather(pipe(reader, downstream), pipe(upstream, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_direct_tls_starts_with_tls(service: Service, secure: Secure) -> None:
    async with direct_tls_proxy(secure) as port:
        url = f"postgresql://{SUPERUSER}@localhost:{port}/postgres"
        client = await service(
            url, db_direct_tls="true", db_ssl_mode="verify-full", db_ssl_root_cert=secure.root
        )
        assert (await fetch(client, "/collections/points/items?limit=7"))["numberReturned"] == 7
        wrong = await service(url, db_ssl_mode="verify-full", db_ssl_root_cert=secure.root)
        await fetch(wrong, "/collections/points/items", status=503)
        await client.close()
        await wrong.close()

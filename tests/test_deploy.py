"""The examples of deploy/ with the real programs: nginx in front of the service, the unit of
systemd. Without them: skipped.
"""

import asyncio
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import execute
from tests.live import CHANGES
from tests.processes import serving

ROOT = Path(__file__).parent.parent
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SYSTEMD = shutil.which("systemd-analyze")
PATIENCE_SECONDS = 20
EXPOSURE = (
    15  # of 100, as `systemd-analyze security` counts; without any of the restrictions it is 92
)
GZIP = {"Accept-Encoding": "gzip"}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def nginx_before(service_url: str, folder: Path) -> Iterator[str]:
    """The example of nginx before a service, on a port of its own; its address."""
    assert NGINX is not None
    port = free_port()
    example = (ROOT / "deploy/nginx/geosvc.conf").read_text("utf-8")
    example = example.replace("127.0.0.1:8080", service_url.removeprefix("http://")).replace(
        "    listen [::]:80;\n", ""
    )
    site = example.replace("listen 80;", f"listen 127.0.0.1:{port};")
    temporary = "".join(
        f"{each}_temp_path {folder}/{each};"
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\nhttp {{ access_log off; {temporary}\n{site}\n}}\n",
        "utf-8",
    )
    command = [NGINX, "-p", str(folder), "-e", "stderr", "-c", str(whole)]
    tried = subprocess.run(
        [*command, "-t"], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert tried.returncode == 0, tried.stderr
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(PATIENCE_SECONDS * 20):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            process.poll()
            assert process.returncode is None
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE_SECONDS)) as session:
        yield session


async def next_data(response: aiohttp.ClientResponse) -> str:
    """The lines of a stream until one tells of an UPDATE."""
    seen = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "renamed" not in seen:
            seen += (await response.content.readany()).decode()
    return seen


@pytest.mark.skipif(NGINX is None, reason="nginx is in Debian's package nginx")
async def test_nginx_passes_etags_bodies_addresses_and_streams(
    live_url: str, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    with (
        serving(live_url, writable="*", slow_query_ms="0") as running,
        nginx_before(running.url, tmp_path) as url,
    ):
        feature = f"{url}/collections/places/items/3"
        body = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [1, 2]},
            "properties": {"name": "x" * 4_000},
        }
        async with session.get(feature, headers=GZIP) as response:
            etag = response.headers["ETag"]
        async with session.put(feature, json=body, headers={"If-Match": etag}) as response:
            assert response.status in (200, 204), await response.text()
        # the form that is compressed has a tag of its own, and both are strong
        async with session.get(feature, headers=GZIP) as response:
            etag = response.headers["ETag"]
            assert response.headers["Content-Encoding"] == "gzip"
            assert not etag.startswith("W/")
        async with session.get(feature, headers={**GZIP, "If-None-Match": etag}) as response:
            assert response.status == 304
        async with session.put(feature, json=body, headers={"If-Match": etag}) as response:
            assert response.status in (200, 204), await response.text()
        async with session.put(feature, json=body, headers={"If-Match": '"another"'}) as response:
            assert response.status == 412

        async with session.get(url + CHANGES) as stream:
            assert stream.status == 200
            await asyncio.to_thread(
                execute, live_url, "UPDATE places SET name = 'renamed' WHERE id = 4"
            )
            assert "renamed" in await next_data(stream)

        large = json.dumps(
            {
                "type": "FeatureCollection",
                "features": [{**body, "id": 1_000 + n} for n in range(500)],
            }
        )
        assert len(large) > 1 << 20
        headers = {"Content-Type": "application/geo+json"}
        async with session.post(
            f"{url}/collections/places/items", data=io.BytesIO(large.encode()), headers=headers
        ) as response:
            assert response.status in (200, 201), await response.text()
        async with session.get(
            f"{url}/collections/places/items", params={"name": "y" * 12_000}
        ) as response:
            assert response.status == 200
        async with session.get(f"{url}/", headers={"Accept": "application/json"}) as response:
            links = [link["href"] for link in (await response.json())["links"]]
        assert links
        assert [link for link in links if not link.startswith(url)] == []
        told = {"X-Forwarded-For": "198.51.100.7"}
        async with session.get(f"{url}/collections/places/items?limit=1", headers=told) as response:
            assert response.status == 200

        def clients() -> set[str]:
            return {
                line["client"]
                for line in running.log
                if line["event"] == "slow_query" and line["client"]
            }

        async with asyncio.timeout(PATIENCE_SECONDS):
            while "198.51.100.7" not in clients():
                await asyncio.sleep(0.05)


@pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is in Debian's package systemd")
def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    assert SYSTEMD is not None
    unit = (ROOT / "deploy/systemd/geosvc.service").read_text("utf-8")
    copy = tmp_path / "geosvc.service"
    copy.write_text(unit.replace("/opt/geosvc/bin/geosvc", sys.executable), "utf-8")
    verified = subprocess.run(
        [SYSTEMD, "verify", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    if "Failed to" in verified.stderr and "geosvc.service" not in verified.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {verified.stderr}")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert "ExecStart=/opt/geosvc/bin/geosvc serve" in unit
    closed = [
        SYSTEMD,
        "security",
        "--offline=yes",
        "--no-pager",
        f"--threshold={EXPOSURE}",
        str(copy),
    ]
    looked = subprocess.run(closed, capture_output=True, text=True, check=False, timeout=60)
    if "unrecognized option" in looked.stderr:
        pytest.skip("systemd-analyze is older than 250")
    assert looked.returncode == 0, looked.stdout + looked.stderr

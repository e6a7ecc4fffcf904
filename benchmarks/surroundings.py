"""When, where, and with which versions was measured."""

import asyncio
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.peer_servers import PEERS, python_of_peers
from benchmarks.programs import find_program
from geosvc.errors import StartError

_VERSIONS_OF_PYTHON = """
import sys
from importlib.metadata import version
for name in sys.argv[1:]:
    print(name, version(name))
"""


def describe_surroundings(url: str) -> dict[str, Any]:
    """As the JSON begins."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": _memory_gb(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        },
        "versions": {
            "geosvc": version("geosvc"),
            "python": platform.python_version(),
            **asyncio.run(_versions_of_server(url)),
            **_versions_of_peers(),
        },
    }


def parse_processor(cpuinfo: str) -> str:
    """The name of the processor in /proc/cpuinfo."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def _processor() -> str:
    return parse_processor(Path("/proc/cpuinfo").read_text("utf-8"))


def _memory_gb() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


async def _versions_of_server(url: str) -> dict[str, str]:
    connection = await asyncpg.connect(url)
    try:
        server = await connection.fetchval("SHOW server_version")
        postgis = await connection.fetchval("SELECT PostGIS_Lib_Version()")
    finally:
        await connection.close()
    return {"postgresql": server.partition(" ")[0], "postgis": postgis}


def _versions_of_peers() -> dict[str, str]:
    """Without those that are not installed."""
    packages = {package for peer in PEERS.values() for package in peer.packages}
    debian = {package for peer in PEERS.values() for package in peer.debian_packages}
    try:
        command = [python_of_peers(), "-c", _VERSIONS_OF_PYTHON, *sorted(packages)]
        found = parse_versions(_output(command))
        find_program("mapserv")
    except StartError:
        return {}
    form = "-f=${Package} ${Version}\n"
    return found | parse_versions(_output(["dpkg-query", "-W", form, *sorted(debian)]))


def parse_versions(text: str) -> dict[str, str]:
    """The lines `name version`; of a Debian package without the part that is Debian's."""
    pairs = (line.split() for line in text.splitlines())
    return {name: number.rpartition("-")[0] or number for name, number in pairs}


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout

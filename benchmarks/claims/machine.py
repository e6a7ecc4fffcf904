"""What the claims were measured with, as the page shows it."""

from collections.abc import Mapping
from importlib.metadata import version
from textwrap import fill
from typing import Any

_COLUMNS = 100
_OWN = ("asyncpg", "uvloop", "aiohttp", "msgspec", "orjson", "shapely")
_PEERS = ("fastapi", "uvicorn", "sqlalchemy", "flask", "gunicorn", "psycopg2-binary")


def write_machine(surroundings: Mapping[str, Any]) -> str:
    """A Markdown list: machine, server, packages, and those of the peers that are installed."""
    machine, versions = surroundings["machine"], surroundings["versions"]
    own = [f"{name} {version(name)}" for name in _OWN]
    peers = [f"{name} {versions[name]}" for name in _PEERS if name in versions]
    size = f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB"
    lines = [
        f"- {size}, shared by client, service and server",
        f"- PostgreSQL {versions['postgresql']}, PostGIS {versions['postgis']}, on a Unix socket",
        f"- Python {versions['python']}, {', '.join(own)}",
    ]
    if peers:
        lines.append(f"- the peers: {', '.join(peers)}")
    return "\n".join(map(_wrap, lines))


def _wrap(line: str) -> str:
    return fill(line, _COLUMNS, subsequent_indent="  ", break_on_hyphens=False)

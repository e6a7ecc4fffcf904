"""Which database a DSN is of, and why it cannot be reached, in words for operators that hold no password."""

import os
import re
import socket
import ssl
from dataclasses import dataclass
from getpass import getuser
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from geosvc.errors import GeosvcError
from geosvc.settings import environment_default

CANNOT_CONNECT = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresError,
    asyncpg.TargetServerAttributeNotMatched,
)
_ADDRESS = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", re.DOTALL)
_ERRNO = re.compile(r"\[Errno (-?\d+)\]")


class NotConnected(ConnectionRefusedError):
    """A connection could not be made; its text is the reason. To try at once again is of no use."""


@dataclass(frozen=True, slots=True)
class DatabaseTarget:
    """Where a DSN leads.

    Attributes:
        host: or the folder of a Unix socket; several with commas between them, as `port`.
    """

    host: str
    port: str
    database: str
    role: str

    def __str__(self) -> str:
        return f"{self.host} port {self.port}, database {self.database}, as {self.role}"


def target_of(url: str) -> DatabaseTarget:
    """Reads a DSN as asyncpg does, which takes what it does not say from the environment, as libpq does."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    login, _, named = parts.netloc.rpartition("@")
    listed = named or query.get("host") or environment_default("PGHOST") or "localhost"
    default_port = query.get("port") or environment_default("PGPORT") or "5432"
    hosts, ports = [], []
    for each in listed.split(","):
        found = _ADDRESS.fullmatch(each)
        is_socket = each.startswith("/") or found is None
        hosts.append(unquote(each if is_socket or found is None else found[1]) or "localhost")
        ports.append((None if is_socket or found is None else found[2]) or default_port)
    user = (
        unquote(login.partition(":")[0])
        or query.get("user")
        or environment_default("PGUSER")
        or _login_name()
    )
    path = unquote(parts.path.removeprefix("/")) or query.get("dbname") or query.get("database")
    port = ports[0] if len(set(ports)) == 1 else ",".join(ports)
    return DatabaseTarget(
        ",".join(hosts), port, path or environment_default("PGDATABASE") or user, user
    )


def _login_name() -> str:
    try:
        return getuser()
    except (OSError, KeyError):  # of a user that has no name, as in containers
        return str(os.getuid())


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return str(error.args[0] if error.args else "").split("\n", 1)[0]


def why_unreachable(error: BaseException) -> str:
    """What the server, or else the system, says of a connection that cannot be made; one line."""
    if isinstance(error, asyncpg.ConnectionDoesNotExistError):
        return "the server closed the connection: is it PostgreSQL that listens there?"
    if isinstance(
        error,
        NotConnected
        | asyncpg.PostgresError
        | asyncpg.TargetServerAttributeNotMatched
        | GeosvcError,
    ):
        return first_line(error)
    if isinstance(error, asyncpg.InternalClientError):
        return "the server does not speak as PostgreSQL does"
    if isinstance(error, asyncpg.InterfaceError | ValueError) and not isinstance(
        error, ssl.SSLError
    ):
        return "asyncpg does not understand the URL"  # its own words may quote it
    return _why_no_tls(error) if isinstance(error, ssl.SSLError) else _why_no_socket(error)


def _why_no_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the server is not trusted: {error.verify_message}"
    return f"TLS failed: {getattr(error, 'reason', None) or error}"


def _why_no_socket(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name of the host is not known: {error.strerror}"
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    words = first_line(error)
    if "rejected SSL upgrade" in words:
        return "the server takes no TLS; if that is meant: GEOSVC_DB_SSL_MODE=disable"
    found = _ERRNO.search(str(error))  # of several addresses, asyncio writes them into one text
    number = getattr(error, "errno", None) or (int(found[1]) if found else 0)
    return os.strerror(number) if number > 0 else words or type(error).__name__

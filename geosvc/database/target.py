"""The database that a DSN names, and why it cannot be reached, as texts for operators.

The texts never contain a password.
"""

import os
import re
import socket
import ssl
from collections.abc import Mapping
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
    """A connection could not be made; the text is the reason. A second try at once is useless."""


# errors whose text is the reason, and contains no password
_HAVE_A_REASON = (
    NotConnected,
    asyncpg.PostgresError,
    asyncpg.TargetServerAttributeNotMatched,
    GeosvcError,
)


@dataclass(frozen=True, slots=True)
class DatabaseTarget:
    """The database that a DSN names.

    Attributes:
        host: a host, or the folder of a Unix socket; several have commas between them.
        port: one port if all hosts have the same; otherwise the port of each host, with commas.
    """

    host: str
    port: str
    database: str
    role: str

    def __str__(self) -> str:
        return f"{self.host} port {self.port}, database {self.database}, as {self.role}"


def target_of(url: str) -> DatabaseTarget:
    """Reads a DSN as asyncpg and libpq do: what is missing comes from the environment."""
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    login, _, hosts_and_ports = parts.netloc.rpartition("@")
    hosts, ports = _read_hosts(hosts_and_ports, query)
    user = unquote(login.partition(":")[0]) or query.get("user") or environment_default("PGUSER")
    role = user or _login_name()
    path = unquote(parts.path.removeprefix("/"))
    named = path or query.get("dbname") or query.get("database")
    database = named or environment_default("PGDATABASE") or role
    return DatabaseTarget(hosts, ports, database, role)


def _read_hosts(listed: str, query: Mapping[str, str]) -> tuple[str, str]:
    """Reads the hosts and ports of a DSN, as `DatabaseTarget` has them.

    Args:
        listed: `host:port`, several with commas between them; may be empty.
        query: the parameters of the DSN.
    """
    listed = listed or query.get("host") or environment_default("PGHOST") or "localhost"
    default_port = query.get("port") or environment_default("PGPORT") or "5432"
    hosts: list[str] = []
    ports: list[str] = []
    for each in listed.split(","):
        host, port = each, None
        address = _ADDRESS.fullmatch(each)
        if address is not None and not each.startswith("/"):
            host, port = address.groups()
        hosts.append(unquote(host) or "localhost")
        ports.append(port or default_port)
    if len(set(ports)) == 1:
        ports = ports[:1]
    return ",".join(hosts), ",".join(ports)


def _login_name() -> str:
    try:
        return getuser()
    except (OSError, KeyError):  # the user has no name, as in containers
        return str(os.getuid())


def first_line(error: BaseException) -> str:
    """The first line of the text of an error; empty if it has none."""
    if not error.args:
        return ""
    return str(error.args[0]).split("\n", 1)[0]


def why_unreachable(error: BaseException) -> str:
    """Why a connection could not be made, in one line, by the server or the operating system."""
    if isinstance(error, asyncpg.ConnectionDoesNotExistError):
        return "the server closed the connection: is it PostgreSQL that listens there?"
    if isinstance(error, _HAVE_A_REASON):
        return first_line(error)
    if isinstance(error, asyncpg.InternalClientError):
        return "the server does not speak as PostgreSQL does"
    if isinstance(error, ssl.SSLError):  # it is a ValueError too, if a certificate is not trusted
        return _why_no_tls(error)
    if isinstance(error, asyncpg.InterfaceError | ValueError):
        return "asyncpg does not understand the URL"  # its own text may quote the URL
    return _why_no_socket(error)


def _why_no_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the server is not trusted: {error.verify_message}"
    return f"TLS failed: {getattr(error, 'reason', None) or error}"


def _why_no_socket(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name of the host is not known: {error.strerror}"
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    text = first_line(error)
    if "rejected SSL upgrade" in text:
        return "the server takes no TLS; if that is meant: GEOSVC_DB_SSL_MODE=disable"
    number = _error_number(error)
    if number > 0:
        return os.strerror(number)
    return text or type(error).__name__


def _error_number(error: BaseException) -> int:
    """The errno of an error; 0 if there is none."""
    number: int | None = getattr(error, "errno", None)
    if number:
        return number
    # if several addresses have failed, asyncio writes all errors into one text
    found = _ERRNO.search(str(error))
    return int(found[1]) if found else 0

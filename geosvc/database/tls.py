"""TLS to the database.

Every mode that encrypts has an SSLContext. No mode falls back to plain text.
"""

import ssl
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from geosvc.errors import SettingsError
from geosvc.settings import Settings, SslMode, environment_default

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", ""})


@dataclass(frozen=True, slots=True)
class Tls:
    """The arguments of asyncpg for TLS.

    Attributes:
        context: None for plain text.
        direct: whether TLS begins with the first byte, without PostgreSQL's request for it.
    """

    context: ssl.SSLContext | None
    direct: bool = False


def _hosts(url: str) -> list[str]:
    """The hosts of a DSN: those before the path, then those of the parameter `host`."""
    parts = urlsplit(url)
    in_parameters = parse_qs(parts.query).get("host", [])
    default_host = ""
    if not in_parameters:
        default_host = environment_default("PGHOST") or ""
    hosts: list[str] = []
    for each in parts.netloc.rpartition("@")[2].split(","):
        hosts.append(_without_port(unquote(each) or default_host))
    for value in in_parameters:
        hosts.extend(value.split(","))
    return hosts


def _without_port(host: str) -> str:
    """A host without its port. An IPv6 address without a port ends with a bracket."""
    if ":" not in host or host.endswith("]"):
        return host
    return host.rpartition(":")[0] or host


def is_local(url: str) -> bool:
    """Whether every host of a DSN is a Unix socket or this machine."""
    for host in _hosts(url):
        is_socket = host.startswith("/")
        if not is_socket and host.strip("[]") not in _LOOPBACK:
            return False
    return True


def ssl_mode(settings: Settings, url: str) -> SslMode:
    """The mode of TLS: the setting, else `sslmode` of the DSN, else a default.

    The default is `disable` on this machine, and `verify-full` to every other.
    """
    if settings.db_ssl_mode is not None:
        return settings.db_ssl_mode
    named = parse_qs(urlsplit(url).query).get("sslmode")
    if named:
        return named[0]  # type: ignore[return-value]  # Settings has refused all other values
    if is_local(url) and not settings.db_direct_tls:
        return "disable"
    return "verify-full"


def tls_to_database(settings: Settings, url: str) -> Tls:
    """How to use TLS to the database at `url`.

    Raises: SettingsError when a certificate or key cannot be read.
    """
    mode = ssl_mode(settings, url)
    if mode == "disable":
        return Tls(None)
    try:
        context = ssl.create_default_context(cafile=settings.db_ssl_root_cert)
        if settings.db_ssl_cert is not None:
            context.load_cert_chain(settings.db_ssl_cert, settings.db_ssl_key)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            [f"GEOSVC_DB_SSL_*: a certificate or key cannot be read: {error}"]
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # Python has no minimum on some distributions
    context.check_hostname = mode == "verify-full"
    if mode == "require" and settings.db_ssl_root_cert is None:
        context.verify_mode = ssl.CERT_NONE
    if settings.db_direct_tls:
        # PostgreSQL 17 refuses a direct connection without it
        context.set_alpn_protocols(["postgresql"])
    return Tls(context, settings.db_direct_tls)

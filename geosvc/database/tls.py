"""TLS to the database: an SSLContext for every mode that encrypts, and never a silent fallback to plain text."""

import ssl
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from geosvc.errors import SettingsError
from geosvc.settings import Settings, SslMode, environment_default

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", ""})


@dataclass(frozen=True, slots=True)
class Tls:
    """What asyncpg is told of TLS.

    Attributes:
        context: None is plain text.
        direct: TLS from the first byte, without PostgreSQL's request for it.
    """

    context: ssl.SSLContext | None
    direct: bool = False


def _hosts(url: str) -> list[str]:
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2].split(",")
    named = parse_qs(parts.query).get("host", [])
    decoded = [unquote(host) for host in hosts]
    hosts = (
        [host or environment_default("PGHOST") or "" for host in decoded] if not named else decoded
    )
    return [
        host.rpartition(":")[0] or host if ":" in host and not host.endswith("]") else host
        for host in hosts
    ] + [each for value in named for each in value.split(",")]


def is_local(url: str) -> bool:
    """Whether every host of a DSN is a Unix socket or this machine."""
    return all(host.startswith("/") or host.strip("[]") in _LOOPBACK for host in _hosts(url))


def ssl_mode(settings: Settings, url: str) -> SslMode:
    """The setting, else the DSN's sslmode, else `disable` on this machine and `verify-full` to any other."""
    if settings.db_ssl_mode is not None:
        return settings.db_ssl_mode
    named = parse_qs(urlsplit(url).query).get("sslmode")
    if named:
        return named[0]  # type: ignore[return-value]  # Settings has refused every other
    return "disable" if is_local(url) and not settings.db_direct_tls else "verify-full"


def tls_to_database(settings: Settings, url: str) -> Tls:
    """How to connect to the database at `url`.

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
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # some distributions' Python says nothing here
    context.check_hostname = mode == "verify-full"
    if mode == "require" and settings.db_ssl_root_cert is None:
        context.verify_mode = ssl.CERT_NONE
    if settings.db_direct_tls:
        context.set_alpn_protocols(
            ["postgresql"]
        )  # PostgreSQL 17 refuses a direct connection without it
    return Tls(context, settings.db_direct_tls)

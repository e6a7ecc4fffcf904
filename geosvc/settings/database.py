"""Which database is served, and how connections to it are made."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    field_validator,
)

from geosvc.settings.types import (
    Seconds,
    SslMode,
)

SSL_MODES = ("disable", "require", "verify-ca", "verify-full")
_WRONG_PORT = re.compile(r":(?![0-9]{1,5}$)[^\]]*$", re.ASCII)


class DatabaseSettings(BaseModel):
    """Which database is served, and how connections to it are made."""

    database_url: Annotated[
        SecretStr | None, Field(description="The database to serve; none: a private cluster.")
    ] = None
    require_database: Annotated[
        bool,
        Field(
            description=(
                "End at the start when the database cannot be reached, instead of trying again."
            )
        ),
    ] = False
    direct_database_url: Annotated[
        SecretStr | None,
        Field(description="The same database without the pooler, for migrations, LISTEN and COPY."),
    ] = None
    data_dir: Annotated[
        Path | None,
        Field(description="Where the private cluster lives; none: the user's data folder."),
    ] = None
    pool_min_size: Annotated[int, Field(ge=0, description="Connections kept open, per worker.")] = 2
    pool_max_size: Annotated[
        int, Field(ge=1, le=1000, description="Connections at the most, per worker.")
    ] = 10
    pool_acquire_seconds: Annotated[
        Seconds, Field(description="How long a request waits for a connection.")
    ] = 5
    collection_pool_share: Annotated[
        float, Field(gt=0, le=1, description="What one collection may hold of them.")
    ] = 0.5
    lock_timeout_seconds: Annotated[
        Seconds, Field(description="How long a read waits for a lock.")
    ] = 2
    connect_seconds: Annotated[
        Seconds, Field(description="How long opening a connection may take.")
    ] = 10
    db_silence_seconds: Annotated[
        Seconds,
        Field(
            description=(
                "How long the database may acknowledge nothing, or a connection rest unasked."
            )
        ),
    ] = 5
    statement_timeout_seconds: Annotated[
        Seconds, Field(description="How long one statement may run.")
    ] = 30
    pgbouncer: Annotated[
        bool, Field(description="The database URL is a PgBouncer in transaction mode.")
    ] = False
    db_ssl_mode: Annotated[
        SslMode | None,
        Field(description="disable, require, verify-ca or verify-full; none: see the docs."),
    ] = None
    db_ssl_root_cert: Annotated[
        Path | None, Field(description="The CA to trust, PEM; none: the system's.")
    ] = None
    db_ssl_cert: Annotated[Path | None, Field(description="The client's certificate, PEM.")] = None
    db_ssl_key: Annotated[Path | None, Field(description="The client's key, PEM.")] = None
    db_direct_tls: Annotated[
        bool, Field(description="Start with TLS at once (PostgreSQL 17, or a proxy).")
    ] = False

    @field_validator("database_url", "direct_database_url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = value.get_secret_value()
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError(
                "starts with postgresql://, such as postgresql://reader@db.example.org/gis"
            )
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = None
        hosts = parts.netloc.rpartition("@")[2].split(",") if parts is not None else ["?:?"]
        if parts is None or any(_WRONG_PORT.search(host) for host in hosts):
            raise ValueError(
                "is no URL: is a special character in the password not percent-encoded?"
            )
        if {"service", "servicefile"} & {name for name, _ in parse_qsl(parts.query)}:
            raise ValueError(
                "names a service, whose host and TLS cannot be checked; write them out"
            )
        for mode in (value for name, value in parse_qsl(parts.query) if name == "sslmode"):
            if mode not in SSL_MODES:
                raise ValueError(
                    f"sslmode={mode} may fall back to plain text; use one of {', '.join(SSL_MODES)}"
                )
        return value

    @field_validator("db_ssl_root_cert", "db_ssl_cert", "db_ssl_key")
    @classmethod
    def _check_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @property
    def names_one_server(self) -> bool:
        """Whether every connection goes to the same server: of several hosts one may be behind
        another.
        """
        if self.database_url is None:
            return True
        parts = urlsplit(self.database_url.get_secret_value())
        hosts = (parts.netloc, *(value for name, value in parse_qsl(parts.query) if name == "host"))
        return not any("," in host.rpartition("@")[2] for host in hosts)

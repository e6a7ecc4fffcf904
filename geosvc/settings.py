"""`Settings`: everything that can be configured, and the only reader of the environment.

Each setting is an environment variable `GEOSVC_<NAME>`, a key of a TOML file and, where `geosvc serve --help` lists it, an
option. An option beats the environment, the environment beats the file.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from geosvc.errors import SettingsError

PREFIX = "GEOSVC_"
SSL_MODES = ("disable", "require", "verify-ca", "verify-full")
OUTSIDE_SETTINGS = frozenset(
    {"GEOSVC_CONFIG", "GEOSVC_TEST_DATABASE_URL", "GEOSVC_BENCH_DATABASE_URL", "GEOSVC_NO_POSTGRESQL", "GEOSVC_SHARED_DATA"}
)


_SOURCE_FIELD = re.compile(r'field "(\w+)"')
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?![^/?#])", re.ASCII)
_WRONG_PORT = re.compile(r":(?![0-9]{1,5}$)[^\]]*$", re.ASCII)


def _split_commas(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
SslMode = Literal["disable", "require", "verify-ca", "verify-full"]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Milliseconds = Annotated[float, Field(ge=0, le=86_400_000, allow_inf_nan=False)]
EpsgCodes = Annotated[tuple[Annotated[int, Field(gt=0, lt=1_000_000_000)], ...], NoDecode, BeforeValidator(_split_commas)]
Port = Annotated[int, Field(ge=0, le=65_535)]


class CollectionSettings(BaseModel):
    """What the catalog cannot know of a collection, one table `[collections.NAME]` of the TOML file each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Names = ()
    datetime: Annotated[Names, Field(max_length=2)] = ()
    srid: Annotated[int, Field(gt=0)] | None = None
    title: str | None = None
    slow_query_ms: Milliseconds | None = None
    read_only: Names = ()
    modified: str | None = None
    require_precondition: bool = False
    put_creates: bool = False


class Settings(BaseSettings):
    """The validated settings of one service.

    Raises: pydantic.ValidationError; `load_settings` turns it into a `SettingsError` with one line for each mistake.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    database_url: Annotated[SecretStr | None, Field(description="The database to serve; none: a private cluster.")] = None
    direct_database_url: Annotated[
        SecretStr | None, Field(description="The same database without the pooler, for migrations, LISTEN and COPY.")
    ] = None
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[Port, Field(description="Port to listen on; 0 takes a free one.")] = 8080
    admin_host: Annotated[str, Field(description="Address of the admin listener.")] = "127.0.0.1"
    admin_port: Annotated[Port, Field(description="Port of the admin listener; 0 takes a free one.")] = 8081
    workers: Annotated[int, Field(ge=1, le=256, description="Processes that share the port.")] = 1
    loop: Annotated[Literal["uvloop", "asyncio"], Field(description="Event loop; asyncio is there for comparison.")] = "uvloop"
    public_url: Annotated[
        str | None, Field(description="What clients see as the root; none: taken from each request's Host.")
    ] = None
    base_map: Annotated[
        str | None, Field(description="Behind the features: URL of a MapLibre style, or of raster tiles with {z}, {x}, {y}.")
    ] = None
    base_map_attribution: Annotated[str | None, Field(description="Whom the base map is from, as its licence asks.")] = None
    base_map_origins: Annotated[
        Names, Field(description="Origins beside its own that the style of the base map loads from.")
    ] = ()
    cors_origins: Annotated[Names, Field(description="Origins that browsers may read from; `*` is any.")] = ("*",)
    shutdown_grace_seconds: Annotated[Seconds, Field(description="How long running requests may take to end.")] = 30
    log_format: Annotated[Literal["json", "console"], Field(description="Log lines for machines or for people.")] = "json"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="The least level to log.")] = "info"
    data_dir: Annotated[Path | None, Field(description="Where the private cluster lives; none: the user's data folder.")] = None

    schemas: Annotated[Names, Field(min_length=1, description="Schemas to publish; ids in the first are bare names.")] = (
        "public",
    )
    tables: Annotated[Names, Field(description="Patterns of the collections to publish; none: all.")] = ()
    exclude_tables: Annotated[Names, Field(description="Patterns of the collections to leave out.")] = ()
    collections: Annotated[
        dict[str, CollectionSettings],
        Field(
            description="What the catalog cannot know, by collection id: key, datetime column, SRID, title, threshold, writing."
        ),
    ] = {}
    crs: Annotated[
        EpsgCodes,
        Field(description="EPSG codes to offer beside CRS84, 4326, 3857 and what is stored."),
    ] = ()
    catalog_poll_seconds: Annotated[Seconds, Field(description="How often each worker looks for DDL.")] = 2

    pool_min_size: Annotated[int, Field(ge=0, description="Connections kept open, per worker.")] = 2
    pool_max_size: Annotated[int, Field(ge=1, le=1000, description="Connections at the most, per worker.")] = 10
    pool_acquire_seconds: Annotated[Seconds, Field(description="How long a request waits for a connection.")] = 5
    connect_seconds: Annotated[Seconds, Field(description="How long opening a connection may take.")] = 10
    statement_timeout_seconds: Annotated[Seconds, Field(description="How long one statement may run.")] = 30
    pgbouncer: Annotated[bool, Field(description="The database URL is a PgBouncer in transaction mode.")] = False
    db_ssl_mode: Annotated[
        SslMode | None, Field(description="disable, require, verify-ca or verify-full; none: see the docs.")
    ] = None
    db_ssl_root_cert: Annotated[Path | None, Field(description="The CA to trust, PEM; none: the system's.")] = None
    db_ssl_cert: Annotated[Path | None, Field(description="The client's certificate, PEM.")] = None
    db_ssl_key: Annotated[Path | None, Field(description="The client's key, PEM.")] = None
    db_direct_tls: Annotated[bool, Field(description="Start with TLS at once (PostgreSQL 17, or a proxy).")] = False

    limit_default: Annotated[Positive, Field(description="Features of a page when the request has no limit.")] = 10
    limit_max: Annotated[Positive, Field(description="Features of a page at the most.")] = 10_000
    max_url_bytes: Annotated[Positive, Field(description="Longest request line and header, bytes.")] = 16_384
    count_exact_rows: Annotated[
        int, Field(ge=0, description="Up to so many rows a count is exact when the planner expects no more.")
    ] = 1_000
    count_seconds: Annotated[Seconds, Field(description="The time box of every count and exact extent.")] = 0.25
    stream_above_rows: Annotated[int, Field(ge=0, description="Pages above this are streamed.")] = 1_000
    batch_rows: Annotated[Positive, Field(description="Rows of a batch at the most.")] = 1_000
    batch_bytes: Annotated[Positive, Field(description="Bytes of a batch to aim at.")] = 1 << 20
    write_stall_seconds: Annotated[
        Seconds, Field(description="How long a client may take no byte of a stream before it is cut off.")
    ] = 30

    feed_retention: Annotated[
        float, Field(gt=0, le=31_536_000, description="How long changes can be resumed from, seconds.")
    ] = 86_400
    feed_max_changes: Annotated[Positive, Field(description="Changes that are kept at the most, whatever their age.")] = (
        1_000_000
    )
    feed_poll_seconds: Annotated[
        Seconds, Field(description="How often changes are asked for where LISTEN is not to be had.")
    ] = 0.25
    feed_heartbeat_seconds: Annotated[Seconds, Field(description="How often a stream of changes shows that it is alive.")] = 15
    max_subscribers: Annotated[Positive, Field(description="Streams of changes at the most, per worker.")] = 5_000
    max_waiting_bytes: Annotated[
        Positive, Field(description="Bytes of changes that wait for a subscriber who does not keep up, at the most.")
    ] = 1 << 20
    cache_bytes: Annotated[
        int, Field(ge=0, description="Memory for answers about published tables, per worker; 0: none are kept.")
    ] = 64 << 20

    writable: Annotated[Names, Field(description="Patterns of the collections that can be written to; none: none.")] = ()
    write_pool_max_size: Annotated[int, Field(ge=1, le=1000, description="Connections that write, per worker.")] = 10
    max_body_bytes: Annotated[Positive, Field(description="Bytes of a body of many features at the most, inflated.")] = 4 << 30
    max_feature_bytes: Annotated[Positive, Field(description="Bytes of one feature, or of a search, at the most.")] = 32 << 20
    max_filter_length: Annotated[Positive, Field(description="Characters of a filter at the most.")] = 65_536
    max_filter_depth: Annotated[
        int, Field(gt=0, le=60, description="Parentheses, functions and negations of a filter within each other, at the most.")
    ] = 40
    max_filter_parts: Annotated[Positive, Field(description="Properties, literals and operators of a filter at the most.")] = (
        10_000
    )
    max_vertices: Annotated[Positive, Field(description="Positions of one posted geometry at the most.")] = 1_000_000
    max_rejected: Annotated[Positive, Field(description="Bad features of one body until all of it is refused.")] = 10_000
    bulk_seconds: Annotated[Seconds, Field(description="How long a body of many features may take in all.")] = 3_600
    read_stall_seconds: Annotated[
        Seconds, Field(description="How long a client may send no byte of a body before it is refused.")
    ] = 30
    idempotency_seconds: Annotated[Seconds, Field(description="How long the answer to an Idempotency-Key is kept.")] = 86_400

    slow_query_ms: Annotated[Milliseconds, Field(description="From how many milliseconds on a query is slow.")] = 500
    slow_query_ms_by_route: Annotated[
        dict[str, Milliseconds], Field(description="The same by operation id or path of a route; a collection's own beats it.")
    ] = {}
    slow_query_args: Annotated[
        Literal["redacted", "full"],
        Field(description="Arguments in the slow-query log: type and size, or the values themselves."),
    ] = "redacted"
    slow_query_lines_per_minute: Annotated[
        Positive, Field(description="Lines of one statement in the slow-query log; what is left out is counted.")
    ] = 30
    explain: Annotated[bool, Field(description="Ask for the plans of slow queries, on a connection of their own.")] = True
    server_messages: Annotated[
        Literal["notice", "warning", "off"], Field(description="The least severity of the server's messages to log.")
    ] = "notice"
    access_log: Annotated[bool, Field(description="A log line for every request.")] = False
    telemetry: Annotated[bool, Field(description="Measure queries and requests: metrics and the slow-query log.")] = True
    otel: Annotated[bool, Field(description="Send OpenTelemetry traces; needs the extra geosvc[otel].")] = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, then the environment; `load_settings` puts the file's values below both."""
        return init_settings, env_settings

    @field_validator("database_url", "direct_database_url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = value.get_secret_value()
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("starts with postgresql://")
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = None
        hosts = parts.netloc.rpartition("@")[2].split(",") if parts is not None else ["?:?"]
        if parts is None or any(_WRONG_PORT.search(host) for host in hosts):
            raise ValueError("is no URL: is a special character in the password not percent-encoded?")
        if {"service", "servicefile"} & {name for name, _ in parse_qsl(parts.query)}:
            raise ValueError("names a service, whose host and TLS cannot be checked; write them out")
        for mode in (value for name, value in parse_qsl(parts.query) if name == "sslmode"):
            if mode not in SSL_MODES:
                raise ValueError(f"sslmode={mode} may fall back to plain text; use one of {', '.join(SSL_MODES)}")
        return value

    @property
    def names_one_server(self) -> bool:
        """Whether every connection goes to the same server: of several hosts one may be behind another."""
        if self.database_url is None:
            return True
        parts = urlsplit(self.database_url.get_secret_value())
        hosts = (parts.netloc, *(value for name, value in parse_qsl(parts.query) if name == "host"))
        return not any("," in host.rpartition("@")[2] for host in hosts)

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ValueError("is an absolute http(s) URL without query or fragment")
        return value.rstrip("/")

    @field_validator("base_map")
    @classmethod
    def _check_base_map(cls, value: str | None) -> str | None:
        if value is not None and not _ORIGIN.match(value):
            raise ValueError("is an absolute http(s) URL")
        return value

    @field_validator("base_map_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _ORIGIN.fullmatch(each):
                raise ValueError("are origins, such as https://tiles.example.org")
        return value

    @property
    def base_map_hosts(self) -> tuple[str, ...]:
        """The origins that pages may load the base map from."""
        own = _ORIGIN.match(self.base_map or "")
        return ((own[0],) if own else ()) + self.base_map_origins

    @field_validator("db_ssl_root_cert", "db_ssl_cert", "db_ssl_key")
    @classmethod
    def _check_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.pool_min_size > self.pool_max_size:
            raise ValueError(f"POOL_MIN_SIZE {self.pool_min_size} is above POOL_MAX_SIZE {self.pool_max_size}")
        if self.limit_default > self.limit_max:
            raise ValueError(f"LIMIT_DEFAULT {self.limit_default} is above LIMIT_MAX {self.limit_max}")
        if (self.db_ssl_cert is None) != (self.db_ssl_key is None):
            raise ValueError("DB_SSL_CERT and DB_SSL_KEY go together")
        if self.db_direct_tls and self.db_ssl_mode == "disable":
            raise ValueError("DB_DIRECT_TLS needs a DB_SSL_MODE that encrypts")
        return self


def _mistakes(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_input=False, include_url=False):
        name = "_".join(str(part) for part in each["loc"][:1]).upper()
        inner = ".".join(str(part) for part in each["loc"][1:] if not str(part).startswith("function-"))
        reason = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            known = CollectionSettings.model_fields if inner else Settings.model_fields
            close = difflib.get_close_matches(str(each["loc"][-1]).lower(), known, n=1)
            reason = "is not a setting" + (f"; did you mean {close[0].upper()}?" if close else "")
        subject = f"{PREFIX}{name}" if name else "settings"
        yield f"{subject}{'.' + inner if inner else ''}: {reason}"


def load_settings(config: Path | None = None, **options: Any) -> Settings:
    """Reads options, environment and file, in this order of precedence. An option that is None was not given.

    Raises: SettingsError with one line for each mistake, without the wrong values, which may be secrets.
    """
    path = config or (Path(os.environ[f"{PREFIX}CONFIG"]) if os.environ.get(f"{PREFIX}CONFIG") else None)
    file_values: dict[str, Any] = {}
    if path is not None:
        try:
            file_values = {key.lower(): value for key, value in tomllib.loads(path.read_text("utf-8")).items()}
        except OSError as error:
            raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError([f"{path}: is no TOML: {error}"]) from None
    given = {key: value for key, value in options.items() if value is not None}
    beaten = {key for key in file_values if key in given or os.environ.get(f"{PREFIX}{key.upper()}")}
    try:
        return Settings(**{key: value for key, value in file_values.items() if key not in beaten}, **given)
    except ValidationError as error:
        raise SettingsError(list(_mistakes(error))) from None
    except SourceError as error:  # of those that are read as JSON from the environment
        found = _SOURCE_FIELD.search(str(error))
        raise SettingsError([f"{PREFIX}{found[1].upper() if found else 'settings'}: is no JSON object"]) from None


def environment_host() -> str | None:
    """The host that asyncpg, like libpq, takes when a DSN names none."""
    return os.environ.get("PGHOST")


def unknown_variables() -> list[tuple[str, str | None]]:
    """The GEOSVC_ variables of the environment that are no settings, each with the setting that was likely meant.

    They do not stop the start: Kubernetes sets GEOSVC_SERVICE_HOST and the like when a service is called geosvc.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | OUTSIDE_SETTINGS
    found = []
    for variable in sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known):
        close = difflib.get_close_matches(variable, known, n=1, cutoff=0.8)
        found.append((variable, close[0] if close else None))
    return found

"""Where the service listens, who may ask it, and how it stops."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    Field,
    field_validator,
)

from geosvc.settings.types import (
    Names,
    Port,
    Seconds,
)

# programs that are no browsers have schemes of their own
_APP_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9.\-\[\]:_]+", re.ASCII)
_HOST_NAME = re.compile(r"[A-Za-z0-9_.*-]+", re.ASCII)


class ListeningSettings(BaseModel):
    """Where the service listens, who may ask it, and how it stops."""

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[Port, Field(description="Port to listen on; 0 takes a free one.")] = 8080
    admin_host: Annotated[str, Field(description="Address of the admin listener.")] = "127.0.0.1"
    admin_port: Annotated[
        Port, Field(description="Port of the admin listener; 0 takes a free one.")
    ] = 8081
    admin_hosts: Annotated[
        Names,
        Field(
            description=(
                "Names that the admin listener answers to, beside localhost, ADMIN_HOST and IP"
                " addresses."
            )
        ),
    ] = ()
    reuse_port: Annotated[
        bool,
        Field(
            description=(
                "Let another instance of the same user listen on the same ports, to take over."
            )
        ),
    ] = False
    workers: Annotated[int, Field(ge=1, le=256, description="Processes that share the port.")] = 1
    loop: Annotated[
        Literal["uvloop", "asyncio"],
        Field(description="Event loop; asyncio is there for comparison."),
    ] = "uvloop"
    public_url: Annotated[
        str | None,
        Field(description="What clients see as the root; none: taken from each request's Host."),
    ] = None
    cors_origins: Annotated[
        Names, Field(description="Origins whose pages may read and write; `*` is any, to read.")
    ] = ("*",)
    shutdown_delay_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="How long a stop goes on listening, while /readyz fails already.",
        ),
    ] = 0
    shutdown_grace_seconds: Annotated[
        Seconds, Field(description="How long a stop may take then, requests and all.")
    ] = 30

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if (
            parts.scheme not in ("http", "https")
            or not parts.netloc
            or parts.query
            or parts.fragment
        ):
            raise ValueError("is an absolute http(s) URL without query or fragment")
        return value.rstrip("/")

    @field_validator("cors_origins")
    @classmethod
    def _check_cors_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if each != "*" and not _APP_ORIGIN.fullmatch(each):
                raise ValueError(
                    "are origins as browsers send them, such as https://maps.example.org, or *"
                )
        return value

    @field_validator("admin_hosts")
    @classmethod
    def _check_admin_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _HOST_NAME.fullmatch(each):
                raise ValueError(
                    "are names without a port, or patterns, such as geosvc.internal or"
                    " *.svc.cluster.local"
                )
        return value

"""The types that settings are made of, with their checks."""

import re
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
)
from pydantic_settings import NoDecode

ORIGIN = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?![^/?#])", re.ASCII
)


def _split_commas(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, str)
        else value
    )


def _check_network(text: str) -> str:
    return str(ip_network(text, strict=False))


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
SslMode = Literal["disable", "require", "verify-ca", "verify-full"]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Milliseconds = Annotated[float, Field(ge=0, le=86_400_000, allow_inf_nan=False)]
EpsgCodes = Annotated[
    tuple[Annotated[int, Field(gt=0, lt=1_000_000_000)], ...],
    NoDecode,
    BeforeValidator(_split_commas),
]
Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_check_network)], ...],
    NoDecode,
    BeforeValidator(_split_commas),
]
Port = Annotated[int, Field(ge=0, le=65_535)]

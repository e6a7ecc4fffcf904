"""What a service says of itself: title, description, contact, licence, terms.

Source: OpenAPI 3.0.3, Info Object.
"""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

TITLE = "geosvc"
DESCRIPTION = "Spatial tables of a PostGIS database as GeoJSON."

_EMAIL = re.compile(r"<?\b([^\s<>()@]+@[^\s<>()@]+\.[^\s<>()@]+)>?")
_URL = re.compile(r"\(?(https?://[^\s()<>]+)\)?")
_NOT_IN_URL = re.compile(r"[\s<>\"\x00-\x1f]")


def _read_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("is no JSON object") from None


def read_contact(value: object) -> object:
    """`Name <address> (URL)` as npm and git have it, each part optional; a table, or a JSON object,
    of the same.
    """
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return _read_json(value)
    email, url = _EMAIL.search(value), _URL.search(value)
    found = {"email": email and email[1], "url": url and url[1]}
    name = " ".join(_URL.sub(" ", _EMAIL.sub(" ", value)).split())
    return {key: text for key, text in {"name": name, **found}.items() if text}


def read_license(value: object) -> object:
    """`Name (URL)`; a table, or a JSON object, of the same."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return _read_json(value)
    url = _URL.search(value)
    name = " ".join(_URL.sub(" ", value).split())
    return {"name": name or (url[1] if url else ""), **({"url": url[1]} if url else {})}


def _check_link(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or _NOT_IN_URL.search(value):
        raise ValueError("is an absolute http(s) URL")
    return value


Link = Annotated[str, AfterValidator(_check_link)]


class Contact(BaseModel):
    """Who answers questions about the service: OpenAPI's Contact Object."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1)] | None = None
    url: Link | None = None
    email: Annotated[str, Field(pattern=r"^[^\s<>()@]+@[^\s<>()@]+$")] | None = None

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if not (self.name or self.url or self.email):
            raise ValueError("has a name, a url or an email")
        return self


class License(BaseModel):
    """Under what the data may be used: OpenAPI's License Object."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1)]
    url: Link | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What a service says of itself: on its landing page, in its OpenAPI description and at the
    foot of every page.
    """

    title: str = TITLE
    description: str = DESCRIPTION
    contact: Contact | None = None
    license: License | None = None
    terms: str | None = None

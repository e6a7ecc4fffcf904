"""What the service says of itself, and what its pages show behind the features."""

from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    field_validator,
)
from pydantic_settings import NoDecode

from geosvc.about import (
    DESCRIPTION,
    TITLE,
    About,
    Contact,
    License,
    Link,
    read_contact,
    read_license,
)
from geosvc.settings.types import ORIGIN, Names


class PresentationSettings(BaseModel):
    """What the service says of itself, and what its pages show behind the features."""

    title: Annotated[str, Field(min_length=1, description="The name of the service.")] = TITLE
    description: Annotated[
        str, Field(description="What the service offers, in a sentence or two.")
    ] = DESCRIPTION
    contact: Annotated[
        Contact | None,
        NoDecode,
        BeforeValidator(read_contact),
        Field(
            description=(
                "Who answers questions: `Name <address> (URL)`, or a table of name, email and url."
            )
        ),
    ] = None
    license: Annotated[
        License | None,
        NoDecode,
        BeforeValidator(read_license),
        Field(
            description="Under what the data may be used: `Name (URL)`, or a table of name and url."
        ),
    ] = None
    terms: Annotated[Link | None, Field(description="URL of the terms of service.")] = None
    base_map: Annotated[
        str | None,
        Field(
            description=(
                "Behind the features: URL of a MapLibre style, or of raster tiles with {z}, {x},"
                " {y}."
            )
        ),
    ] = None
    base_map_attribution: Annotated[
        str | None, Field(description="Whom the base map is from, as its licence asks.")
    ] = None
    base_map_origins: Annotated[
        Names,
        Field(description="Origins beside its own that the style of the base map loads from."),
    ] = ()

    @field_validator("base_map")
    @classmethod
    def _check_base_map(cls, value: str | None) -> str | None:
        if value is not None and not ORIGIN.match(value):
            raise ValueError("is an absolute http(s) URL")
        return value

    @field_validator("base_map_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not ORIGIN.fullmatch(each):
                raise ValueError("are origins, such as https://tiles.example.org")
        return value

    @property
    def about(self) -> About:
        """What the service says of itself."""
        return About(self.title, self.description, self.contact, self.license, self.terms)

    @property
    def base_map_hosts(self) -> tuple[str, ...]:
        """The origins that pages may load the base map from."""
        own = ORIGIN.match(self.base_map or "")
        return ((own[0],) if own else ()) + self.base_map_origins

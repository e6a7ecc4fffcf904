"""Which tables, views and functions become collections."""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from geosvc.settings.types import EpsgCodes, Milliseconds, Names, Seconds


class CollectionSettings(BaseModel):
    """What the catalog cannot know of a collection, one table `[collections.NAME]` of the TOML file
    each.
    """

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
    tiles: Literal["cluster", "drop", "all"] = "cluster"
    tiles_single_from_zoom: Annotated[int, Field(ge=0, le=30)] | None = None
    tiles_importance: str | None = None


class PublicationSettings(BaseModel):
    """Which tables, views and functions become collections."""

    schemas: Annotated[
        Names,
        Field(min_length=1, description="Schemas to publish; ids in the first are bare names."),
    ] = ("public",)
    tables: Annotated[
        Names, Field(description="Patterns of the collections to publish; none: all.")
    ] = ()
    exclude_tables: Annotated[
        Names, Field(description="Patterns of the collections to leave out.")
    ] = ()
    collections: Annotated[
        dict[str, CollectionSettings],
        Field(
            description=(
                "What the catalog cannot know, by collection id: key, datetime column, SRID,"
                " title, threshold, writing."
            )
        ),
    ] = {}
    crs: Annotated[
        EpsgCodes,
        Field(description="EPSG codes to offer beside CRS84, 4326, 3857 and what is stored."),
    ] = ()
    catalog_poll_seconds: Annotated[
        Seconds, Field(description="How often each worker looks for DDL.")
    ] = 2

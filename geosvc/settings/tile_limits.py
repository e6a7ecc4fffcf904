"""Tiles: their matrix sets, and what one of them may hold."""

from typing import Annotated

from pydantic import BaseModel, Field

from geosvc.settings.types import Names, Positive


class TileSettings(BaseModel):
    """Tiles: their matrix sets, and what one of them may hold."""

    tile_matrix_sets: Annotated[
        Names,
        Field(
            min_length=1,
            description="Tile matrix sets: names of registered ones, or JSON files of definitions.",
        ),
    ] = ("WebMercatorQuad", "WorldCRS84Quad")
    tile_max_features: Annotated[
        Positive, Field(description="Features of a layer of a tile at the most.")
    ] = 10_000
    tile_max_bytes: Annotated[
        Positive,
        Field(
            description="Bytes of a layer of a tile before it is compressed; fewer features then."
        ),
    ] = 1 << 20
    tile_sample_rows: Annotated[
        Positive, Field(description="Rows that are read for a crowded tile; of more, a sample.")
    ] = 500_000
    tile_cache_bytes: Annotated[
        int,
        Field(ge=0, description="Memory for tiles of published tables, per worker; 0: none."),
    ] = 64 << 20
    tile_max_collections: Annotated[
        Positive, Field(description="Collections of one tile of the dataset at the most.")
    ] = 20

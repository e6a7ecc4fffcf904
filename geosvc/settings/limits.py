"""Limits of pages, exports, filters and of what clients have not taken yet."""

from typing import Annotated

from pydantic import (
    BaseModel,
    Field,
)

from geosvc.settings.types import Positive, Seconds


class ReadingSettings(BaseModel):
    """Limits of pages, exports, filters and of what clients have not taken yet."""

    limit_default: Annotated[
        Positive, Field(description="Features of a page when the request has no limit.")
    ] = 10
    limit_max: Annotated[Positive, Field(description="Features of a page at the most.")] = 10_000
    max_url_bytes: Annotated[
        Positive, Field(description="Longest request line and header, bytes.")
    ] = 16_384
    count_exact_rows: Annotated[
        int,
        Field(
            ge=0,
            description="Up to so many rows a count is exact when the planner expects no more.",
        ),
    ] = 1_000
    count_seconds: Annotated[
        Seconds, Field(description="The time box of every count and exact extent.")
    ] = 0.25
    stream_above_rows: Annotated[int, Field(ge=0, description="Pages above this are streamed.")] = (
        1_000
    )
    batch_rows: Annotated[Positive, Field(description="Rows of a batch at the most.")] = 1_000
    batch_bytes: Annotated[Positive, Field(description="Bytes of a batch to aim at.")] = 1 << 20
    csv_escape_formulas: Annotated[
        bool,
        Field(
            description=(
                "Put an apostrophe before texts in CSV that a spreadsheet would run as formulas."
            )
        ),
    ] = False
    write_stall_seconds: Annotated[
        Seconds,
        Field(description="How long a client may take no byte of an answer before it is cut off."),
    ] = 30
    min_rate_bytes: Annotated[
        int,
        Field(
            ge=0,
            description=(
                "Bytes a second that a client must take of an answer, or send of a body, on"
                " average."
            ),
        ),
    ] = 2_000
    max_held_bytes: Annotated[
        Positive,
        Field(description="Memory for answers that clients have not taken yet, per worker."),
    ] = 256 << 20
    client_stream_share: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description=(
                "What one client's address may hold of the places of streams, and of uploads."
            ),
        ),
    ] = 0.5
    max_search_bytes: Annotated[
        Positive, Field(description="Bytes of the body of a search at the most, inflated.")
    ] = 1 << 20
    max_filter_length: Annotated[
        Positive, Field(description="Characters of a filter at the most.")
    ] = 65_536
    max_filter_depth: Annotated[
        int,
        Field(
            gt=0,
            le=60,
            description=(
                "Parentheses, functions and negations of a filter within each other, at the most."
            ),
        ),
    ] = 40
    max_filter_parts: Annotated[
        Positive, Field(description="Properties, literals and operators of a filter at the most.")
    ] = 10_000

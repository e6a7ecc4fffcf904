"""The change log, its subscribers, and the answers that are kept in memory."""

from typing import Annotated

from pydantic import (
    BaseModel,
    Field,
)

from geosvc.settings.types import Positive, Seconds


class LiveSettings(BaseModel):
    """The change log, its subscribers, and the answers that are kept in memory."""

    feed_retention: Annotated[
        float,
        Field(gt=0, le=31_536_000, description="How long changes can be resumed from, seconds."),
    ] = 86_400
    feed_max_changes: Annotated[
        Positive, Field(description="Changes that are kept at the most, whatever their age.")
    ] = 1_000_000
    feed_poll_seconds: Annotated[
        Seconds, Field(description="How often changes are asked for where LISTEN is not to be had.")
    ] = 0.25
    feed_heartbeat_seconds: Annotated[
        Seconds, Field(description="How often a stream of changes shows that it is alive.")
    ] = 15
    max_subscribers: Annotated[
        Positive, Field(description="Streams of changes at the most, per worker.")
    ] = 5_000
    max_waiting_bytes: Annotated[
        Positive,
        Field(
            description=(
                "Bytes of changes that wait for a subscriber who does not keep up, at the most."
            )
        ),
    ] = 1 << 20
    cache_bytes: Annotated[
        int,
        Field(
            ge=0,
            description="Memory for answers about published tables, per worker; 0: none are kept.",
        ),
    ] = 64 << 20

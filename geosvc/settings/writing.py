"""Who may write what, and the limits of what is posted."""

from typing import Annotated

from pydantic import (
    BaseModel,
    Field,
)

from geosvc.settings.types import Names, Positive, Seconds


class WritingSettings(BaseModel):
    """Who may write what, and the limits of what is posted."""

    writable: Annotated[
        Names, Field(description="Patterns of the collections that can be written to; none: none.")
    ] = ()
    write_pool_max_size: Annotated[
        int, Field(ge=1, le=1000, description="Connections that write, per worker.")
    ] = 10
    max_body_bytes: Annotated[
        Positive, Field(description="Bytes of a body of many features at the most, inflated.")
    ] = 4 << 30
    max_feature_bytes: Annotated[
        Positive, Field(description="Bytes of one feature at the most, inflated.")
    ] = 32 << 20
    check_processes: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description=(
                "Processes that read and check large bodies, started when needed, per worker."
            ),
        ),
    ] = 2
    check_seconds: Annotated[
        Seconds, Field(description="Of the processor, that one large body may take.")
    ] = 10
    check_memory_bytes: Annotated[
        int,
        Field(ge=64 << 20, description="Memory that reading and checking one large body may take."),
    ] = 1 << 30
    max_vertices: Annotated[
        Positive, Field(description="Positions of one posted geometry at the most.")
    ] = 1_000_000
    max_rejected: Annotated[
        Positive, Field(description="Bad features of one body until all of it is refused.")
    ] = 10_000
    bulk_seconds: Annotated[
        Seconds, Field(description="How long a body of many features may take in all.")
    ] = 3_600
    max_uploads: Annotated[
        Positive | None,
        Field(
            description=(
                "Bodies of many features that are stored as they arrive, per worker; none: half of"
                " the connections."
            )
        ),
    ] = None
    max_held_body_bytes: Annotated[
        Positive,
        Field(description="Bytes of large bodies in memory until they are whole, per worker."),
    ] = 256 << 20
    body_seconds: Annotated[
        Seconds, Field(description="How long the body of one feature, or of a search, may take.")
    ] = 300
    read_stall_seconds: Annotated[
        Seconds,
        Field(
            description=(
                "How long a client may send no byte of a body, and how long the head of a request"
                " may take."
            )
        ),
    ] = 30
    idempotency_seconds: Annotated[
        Seconds, Field(description="How long the answer to an Idempotency-Key is kept.")
    ] = 86_400

    @property
    def uploads(self) -> int:
        """Bodies that are stored as they arrive at a time, of one worker: single writes have the
        other connections.
        """
        return self.max_uploads or max(self.write_pool_max_size // 2, 1)

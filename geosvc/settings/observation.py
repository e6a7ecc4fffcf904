"""What is logged, measured and traced."""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    Field,
)

from geosvc.settings.types import Milliseconds, Networks, Positive


class ObservationSettings(BaseModel):
    """What is logged, measured and traced."""

    log_format: Annotated[
        Literal["json", "console"] | None,
        Field(
            description=(
                "Log lines for machines or for people; none: for people on a terminal, else for"
                " machines."
            )
        ),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="The least level to log.")
    ] = "info"
    slow_query_ms: Annotated[
        Milliseconds, Field(description="From how many milliseconds on a query is slow.")
    ] = 500
    slow_query_ms_by_route: Annotated[
        dict[str, Milliseconds],
        Field(
            description="The same by operation id or path of a route; a collection's own beats it."
        ),
    ] = {}
    slow_export_ms_per_row: Annotated[
        Milliseconds,
        Field(
            description="How much longer an export may take for each of its rows until it is slow."
        ),
    ] = 0.5
    slow_query_args: Annotated[
        Literal["redacted", "full"],
        Field(
            description="Arguments in the slow-query log: type and size, or the values themselves."
        ),
    ] = "redacted"
    slow_query_lines_per_minute: Annotated[
        Positive,
        Field(
            description="Lines of one statement in the slow-query log; what is left out is counted."
        ),
    ] = 30
    explain: Annotated[
        bool, Field(description="Ask for the plans of slow queries, on a connection of their own.")
    ] = True
    server_messages: Annotated[
        Literal["notice", "warning", "off"],
        Field(description="The least severity of the server's messages to log."),
    ] = "notice"
    log_clients: Annotated[
        Literal["full", "network", "off"],
        Field(
            description=(
                "Clients in the slow-query log and /activity: address and program, the network"
                " only, or neither."
            )
        ),
    ] = "full"
    trusted_proxies: Annotated[
        Networks,
        Field(description="Proxies whose X-Forwarded-For is believed: addresses or networks."),
    ] = ("127.0.0.0/8", "::1/128")
    access_log: Annotated[bool, Field(description="A log line for every request.")] = False
    telemetry: Annotated[
        bool, Field(description="Measure queries and requests: metrics and the slow-query log.")
    ] = True
    otel: Annotated[
        bool,
        Field(description="Send OpenTelemetry traces; needs the extra otel, see docs/tracing.md."),
    ] = False

"""Everything that can be observed, as frozen dataclasses, and the one `emit`.

An event knows its level and nothing of logs or metrics; each subscriber chooses the events that it
wants. The modules group the events by what they are about.
"""

from geosvc.events.change_log_events import (
    ChangesNotTold,
    ChangesPruned,
    FeedFollowed,
    FeedLost,
    PruningFailed,
    SubscriberDropped,
)
from geosvc.events.database_events import (
    CatalogFailed,
    CatalogLoaded,
    DatabaseFound,
    DatabaseLost,
    KeyRepeated,
    PostgisMissing,
)
from geosvc.events.emitting import (
    Kinds,
    Subscriber,
    emit,
    failures,
    report_failure,
    subscribe,
)
from geosvc.events.event import (
    Event,
    Level,
    Measurement,
)
from geosvc.events.request_events import (
    ClientGone,
    RequestEnded,
    RequestFailed,
    StreamAborted,
)
from geosvc.events.service_events import (
    BackgroundWorkFailed,
    ChildEnded,
    ConnectionsFull,
    DescriptorsScarce,
    RequestsCut,
    ServerStarted,
    ServerStopping,
    TelemetryFailed,
    UnknownSetting,
    WorkerExited,
    WritableByAnyone,
)
from geosvc.events.slow_query_events import (
    SlowQueriesDropped,
    SlowQuery,
)
from geosvc.events.statement_events import (
    GeometriesRefused,
    QueryEnded,
    ReadFailed,
    ReadRetried,
    ServerMessagesDropped,
    ServerNotice,
    ServerWarning,
    StatementCancelled,
    ValueRefused,
    ValuesRefused,
    WriteFailed,
    WriteRetried,
)

__all__ = [
    "BackgroundWorkFailed",
    "CatalogFailed",
    "CatalogLoaded",
    "ChangesNotTold",
    "ChangesPruned",
    "ChildEnded",
    "ClientGone",
    "ConnectionsFull",
    "DatabaseFound",
    "DatabaseLost",
    "DescriptorsScarce",
    "Event",
    "FeedFollowed",
    "FeedLost",
    "GeometriesRefused",
    "KeyRepeated",
    "Kinds",
    "Level",
    "Measurement",
    "PostgisMissing",
    "PruningFailed",
    "QueryEnded",
    "ReadFailed",
    "ReadRetried",
    "RequestEnded",
    "RequestFailed",
    "RequestsCut",
    "ServerMessagesDropped",
    "ServerNotice",
    "ServerStarted",
    "ServerStopping",
    "ServerWarning",
    "SlowQueriesDropped",
    "SlowQuery",
    "StatementCancelled",
    "StreamAborted",
    "Subscriber",
    "SubscriberDropped",
    "TelemetryFailed",
    "UnknownSetting",
    "ValueRefused",
    "ValuesRefused",
    "WorkerExited",
    "WritableByAnyone",
    "WriteFailed",
    "WriteRetried",
    "emit",
    "failures",
    "report_failure",
    "subscribe",
]

"""How many seconds a query may take before it is slow."""

from geosvc.settings import Settings
from geosvc.trace import Run, Trace

EXPORT = "items.export"


class Thresholds:
    """The thresholds of the settings, in seconds.

    The threshold of a collection has priority over that of a route, and that over the general one.
    """

    def __init__(self, settings: Settings) -> None:
        self._general = settings.slow_query_ms / 1000
        self._export_row = settings.slow_export_ms_per_row / 1000
        self._routes: dict[str, float] = {}
        for route, milliseconds in settings.slow_query_ms_by_route.items():
            self._routes[route] = milliseconds / 1000
        self._collections: dict[str, float] = {}
        for name, override in settings.collections.items():
            if override.slow_query_ms is not None:
                self._collections[name] = override.slow_query_ms / 1000
        thresholds = [self._general]
        thresholds += self._routes.values()
        thresholds += self._collections.values()
        self.least = min(thresholds)

    def of(self, trace: Trace | None) -> float:
        """The threshold of a request, in seconds; the general one without a request."""
        if trace is None:
            return self._general
        of_collection = self._collections.get(trace.collection or "")
        if of_collection is not None:
            return of_collection
        of_operation = self._routes.get(trace.operation or "")
        if of_operation is not None:
            return of_operation
        return self._routes.get(trace.route or "", self._general)

    def of_run(self, run: Run) -> float:
        """The threshold of a statement; an export has additional time for each of its rows."""
        threshold = self.of(run.trace)
        if run.name == EXPORT and run.rows:
            threshold += run.rows * self._export_row
        return threshold

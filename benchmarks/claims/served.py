"""What requests cost a service."""

from collections.abc import Sequence

from benchmarks.claims.turns import Sample
from benchmarks.cpu import seconds_of_family
from benchmarks.servers import Server
from benchmarks.wrk import measure_wrk


def cost_of_requests(server: Server, paths: Sequence[str], clients: int, seconds: float) -> Sample:
    """Requests a second by wrk, and the processor time of the service's processes."""
    used = seconds_of_family(server.pid)
    load = measure_wrk(server.url, paths, clients, seconds)
    used = seconds_of_family(server.pid) - used
    return {
        "service, µs CPU": used / load.requests * 1e6,
        "requests/s": load.rate,
        "99th percentile, ms": load.p99_ms,
    }

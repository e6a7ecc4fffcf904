"""File descriptors: how many this process may open, and which of them clients leave for everything
else.
"""

import resource
from contextlib import suppress

from geosvc.events import DescriptorsScarce, emit
from geosvc.settings import Settings

MOST = 1 << 20  # some systems allow a thousand million, of which tables are made
# the log, the loop, look-ups of names, and the connections that a loop accepts before it is told to
# pause
OWN = 96
ADMIN_CONNECTIONS = 32
OUTSIDE_POOLS = 4  # the feed, and the connections to look at the server with
LEAST_SHARE = 0.25
SUBSCRIBERS_SHARE = 0.75


def limit() -> int:
    """How many descriptors this process may open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if soft == resource.RLIM_INFINITY else min(soft, MOST)


def raise_limit() -> None:
    """Raises the soft limit, which is low for the sake of programs that use select(), to the hard
    one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS names a limit and allows less
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def reserve(settings: Settings) -> int:
    """Descriptors that a worker needs beside those of its clients."""
    pools = settings.pool_max_size + settings.write_pool_max_size + OUTSIDE_POOLS
    return pools + ADMIN_CONNECTIONS + settings.workers + 2 * settings.check_processes + OWN


def connections(settings: Settings) -> int:
    """Connections of clients that a worker takes."""
    return max(limit() - reserve(settings), int(limit() * LEAST_SHARE))


def subscribers(settings: Settings) -> int:
    """Streams of changes that a worker takes: they leave some connections for those who ask for a
    page.
    """
    return min(settings.max_subscribers, int(connections(settings) * SUBSCRIBERS_SHARE))


def report_limit(settings: Settings) -> None:
    """Warns when the limit leaves no room for what the settings allow."""
    taken = subscribers(settings)
    if taken < settings.max_subscribers or limit() < reserve(settings):
        needed = int(settings.max_subscribers / SUBSCRIBERS_SHARE) + reserve(settings)
        emit(
            DescriptorsScarce(
                limit=limit(), needed=needed, connections=connections(settings), subscribers=taken
            )
        )

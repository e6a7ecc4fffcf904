"""The names that a listener answers to.

A request to any other name is refused. Otherwise a page of another site could reach the listener
by a name of its own (DNS rebinding). Source: RFC 9110 7.2 and 7.4.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_address

LOOPBACK = "localhost"
_HOST = re.compile(
    r"(?:\[(?P<literal>[^\[\]]*)\]|(?P<name>[A-Za-z0-9_.-]*))(?::[0-9]{0,5})?", re.ASCII
)


class KnownHosts:
    """Names and patterns such as `*.internal`, besides `localhost` and every IP address.

    An address is safe: a page of another site has a name, and its browser sends that name.
    """

    def __init__(self, names: Iterable[str]) -> None:
        configured = [_canonical(name) for name in names if name]
        self._patterns = (LOOPBACK, *configured)

    def answers(self, hosts: Sequence[str]) -> bool:
        """Whether the listener answers a request with these Host headers.

        A request without any comes from no browser.
        """
        return all(self._knows(host) for host in hosts)

    def _knows(self, host: str) -> bool:
        match = _HOST.fullmatch(host.strip())
        if match is None:
            return False
        name = _canonical(match["literal"] or match["name"] or "")
        if not name or _is_address(name):
            return True
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)


def _canonical(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

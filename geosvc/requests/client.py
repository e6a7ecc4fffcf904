"""Who a request is from, for logs and for limits: the address of the client, and its program.

The address is found behind trusted proxies too.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal

Address = IPv4Address | IPv6Address
MAX_AGENT = 200  # characters
MAX_FORWARDED = 1_000  # characters
_NETWORK_BITS = {4: 24, 6: 48}
_CLIENT_BITS = 64  # RFC 6177: the smallest IPv6 network that a client is given


def read_address(text: str | None) -> Address | None:
    """Reads an address of a connection or of X-Forwarded-For, with a port or without.

    None for a text that is not an address.
    """
    text = (text or "").strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def describe_agent(text: str | None) -> str | None:
    """A User-Agent with its unprintable characters escaped, cut after MAX_AGENT characters."""
    if text is None:
        return None
    characters = []
    for character in text[: MAX_AGENT + 1]:
        if not character.isprintable():
            character = ascii(character)[1:-1]  # noqa: PLW2901 - without the quotes
        characters.append(character)
    shown = "".join(characters)
    if len(shown) > MAX_AGENT:
        shown = f"{shown[:MAX_AGENT]}…"
    return shown


class Clients:
    """Finds the clients of requests.

    Args:
        detail: what `describe` includes. `network`: the first 24 bits of an IPv4 and the first 48
            of an IPv6 address; `off`: nothing.
        proxies: the networks whose X-Forwarded-For is trusted.
    """

    def __init__(self, detail: Literal["full", "network", "off"], proxies: Sequence[str]) -> None:
        self._detail = detail
        self._proxies = tuple(map(ip_network, proxies))

    def address(self, peer: str | None, forwarded_for: Sequence[str] | None) -> str | None:
        """The address of a client: the last one in X-Forwarded-For that is not a proxy's."""
        address = read_address(peer)
        hops = ",".join(forwarded_for or ())[-MAX_FORWARDED:].split(",")
        while hops and address is not None and self._is_proxy(address):
            previous = read_address(hops.pop())
            if previous is None:
                break
            address = previous
        return None if address is None else str(address)

    def holder(self, peer: str | None, forwarded_for: Sequence[str] | None) -> str | None:
        """What the limits of one client are counted by: its address, or its IPv6 network."""
        client = self.address(peer, forwarded_for)
        if client is None or ":" not in client:
            return client
        return _network(client, _CLIENT_BITS)

    def describe(
        self, peer: str | None, forwarded_for: Sequence[str] | None, user_agent: str | None
    ) -> dict[str, str | None]:
        """`client` and `user_agent` for logs, as far as the settings allow."""
        if self._detail == "off":
            return {"client": None, "user_agent": None}
        client = self.address(peer, forwarded_for)
        if self._detail == "full":
            return {"client": client, "user_agent": describe_agent(user_agent)}
        if client is not None:
            client = _network(client, _NETWORK_BITS[ip_address(client).version])
        return {"client": client, "user_agent": None}

    def _is_proxy(self, address: Address) -> bool:
        # an address is never in a network of the other version
        return any(address in network for network in self._proxies)


def _network(address: str, bits: int) -> str:
    return str(ip_network(f"{address}/{bits}", strict=False))

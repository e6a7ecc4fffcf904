"""Who a request is from, as logs may tell."""

from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.requests.client import MAX_AGENT, Clients, describe_agent, read_address

TRUSTING = Clients("full", ("127.0.0.0/8", "::1/128", "10.0.0.0/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),  # nobody whose word counts
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # what a client told of itself
        ("127.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),  # in a header of its own
        ("127.0.0.1", ["6.6.6.6, 198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        ("::ffff:127.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("::1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("::1", ['"[2001:db8::7]"'], "2001:db8::7"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["<script>"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["10.0.0.9"], "10.0.0.9"),
        ("fe80::1%eth0", None, "fe80::1"),
        ("", None, None),
        (None, ["198.51.100.1"], None),
    ],
)
def test_the_address_is_the_last_that_no_trusted_proxy_has(
    peer: str | None, forwarded: Sequence[str] | None, client: str | None
) -> None:
    assert TRUSTING.address(peer, forwarded) == client


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("QGIS/3.34", "QGIS/3.34"),
        ("Mozilla/5.0 (X11; Linux) é", "Mozilla/5.0 (X11; Linux) é"),
        ("a\tb\x1b[31m", "a\\tb\\x1b[31m"),
        ("\u202eevil", "\\u202eevil"),
        ("\udcff", "\\udcff"),
        ("", ""),
        (None, None),
    ],
)
def test_control_characters_of_a_program_are_escaped(told: str | None, shown: str | None) -> None:
    assert describe_agent(told) == shown


@given(st.text(st.characters(), max_size=2_000))
def test_a_program_is_one_short_printable_line(text: str) -> None:
    shown = describe_agent(text) or ""
    assert shown.isprintable()
    assert len(shown) <= MAX_AGENT + 1
    orjson.dumps(shown)


@given(st.text(max_size=200), st.lists(st.text(max_size=200), max_size=3))
def test_an_address_is_an_address_or_nothing(peer: str, forwarded: list[str]) -> None:
    client = TRUSTING.address(peer, forwarded)
    assert client is None or str(read_address(client)) == client


@pytest.mark.parametrize(
    ("detail", "peer", "told"),
    [
        ("full", "192.0.2.7", {"client": "192.0.2.7", "user_agent": "curl"}),
        ("network", "192.0.2.7", {"client": "192.0.2.0/24", "user_agent": None}),
        ("network", "2001:db8:1:2::7", {"client": "2001:db8:1::/48", "user_agent": None}),
        ("network", None, {"client": None, "user_agent": None}),
        ("off", "192.0.2.7", {"client": None, "user_agent": None}),
    ],
)
def test_less_can_be_told(detail: str, peer: str | None, told: dict[str, str | None]) -> None:
    assert Clients(detail, ()).describe(peer, None, "curl") == told  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("peer", "holder"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        (None, None),
    ],
)
def test_limits_count_an_ipv6_network_as_one_client(peer: str | None, holder: str | None) -> None:
    assert TRUSTING.holder(peer, None) == holder

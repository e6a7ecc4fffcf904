"""Which Host headers are a listener's own."""

import pytest

from geosvc.http.hosts import KnownHosts

KNOWN = KnownHosts(("0.0.0.0", "Admin.Example.org", "*.svc.cluster.local"))

OWN = [
    "localhost",
    "LOCALHOST:8081",
    "localhost.",
    "localhost.:8081",
    "127.0.0.1",
    "127.0.0.1:8081",
    "127.8.9.10",
    "[::1]:8081",
    "[::1]",
    "[fe80::1%25eth0]:8081",
    "10.1.2.3:8081",
    "[2001:db8::7]:8081",
    "admin.example.org",
    "ADMIN.example.ORG.:8081",
    "geosvc.prod.svc.cluster.local:8081",
    "",
    ":8081",
]
FOREIGN = [
    "evil.example",
    "evil.example:8081",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "1.localhost",
    "xlocalhost",
    "svc.cluster.local",
    "svc.cluster.local.evil.example",
    "geosvc.svc.cluster.local.evil.example:8081",
    "evil.example/.svc.cluster.local",
    "evil.example:x.svc.cluster.local",
    "user@evil.example",
    "127.0.0.1@evil.example",
    "[evil.example]",
    "[::1].evil.example",
    "[::1",
    "2130706433.evil.example",
    "evil.example, localhost",
    "localhost evil.example",
    "l\u00f6calhost",
    "\uff4cocalhost",
]


@pytest.mark.parametrize("host", OWN)
def test_own_names_and_addresses_are_answered(host: str) -> None:
    assert KNOWN.answers((host,))
    assert KNOWN.answers((host, "localhost"))


@pytest.mark.parametrize("host", FOREIGN)
def test_names_of_others_are_not(host: str) -> None:
    assert not KNOWN.answers((host,))
    assert not KNOWN.answers(("localhost", host))


def test_a_request_without_a_host_is_answered_and_a_star_is_any_name() -> None:
    assert KNOWN.answers(())
    assert KnownHosts(("*",)).answers(("evil.example",))

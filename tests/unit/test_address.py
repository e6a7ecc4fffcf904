"""benchmarks/address.py: the parts of the URL of a database."""

import pytest

from benchmarks.address import Address, parse_address

SOCKET = "postgresql://geosvc@/bench?host=/run/bench&port=5433"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (SOCKET, Address("/run/bench", 5433, "bench", "geosvc", "")),
        (
            "postgresql://a:b%40c@db.example.org:6000/d",
            Address("db.example.org", 6000, "d", "a", "b@c"),
        ),
        ("postgresql:///d?user=a", Address("localhost", 5432, "d", "a", "")),
    ],
)
def test_a_url_has_parts(url: str, address: Address) -> None:
    assert parse_address(url) == address


def test_a_socket_folder_stands_before_the_path() -> None:
    url = parse_address(SOCKET).url
    assert url == "postgresql://geosvc@%2Frun%2Fbench:5433/bench"
    assert parse_address(url) == parse_address(SOCKET)


def test_libpq_takes_keywords() -> None:
    assert parse_address(SOCKET).keywords == "host=/run/bench port=5433 dbname=bench user=geosvc"

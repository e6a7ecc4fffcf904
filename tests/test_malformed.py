"""What is no HTTP request, or one that nobody takes: each gets a problem that quotes nothing, on
every listener.
"""

import json
import random
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.processes import Running, unexpected

SEARCH = (
    b"POST /collections/cities/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
)
CHUNKED = SEARCH + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"\r\nHost: x\r\n\r\n"
LENGTHS = [
    b"-1",
    b"+2",
    b"2, 2",
    b"0x2",
    b"9" * 30,
    b"",
    b"1_0",
    b"2\r\nContent-Length: 2",
    b"2\r\nContent-Length: 3",
]
CODINGS = [b"gzip", b"identity", b"chunked, chunked", b"xchunked"]

REFUSED = [
    (b"\x16\x03\x01\x02\x00\x01\x00\xfc" + END, 400),
    (b"GET /\xff\xfe HTTP/1.1" + END, 400),
    (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + END, 431),
    (b"GET / HTTP/1.1\r\n" + b"a" * 70_000 + b": x" + END, 431),
    (b"GET /" + b"a" * 70_000 + b" HTTP/1.1" + END, 431),
    # versions
    (b"GET /\r\n\r\n", 400),  # HTTP/0.9
    (b"GET /collections\r\n" + END, 400),
    (b"GET / HTTP/0.9" + END, 400),
    (b"GET / HTTP/2.0" + END, 505),
    (b"GET / HTTP/3.0" + END, 505),
    (b"GET / HTTP/1.2" + END, 505),
    (b"POST /collections/cities/search HTTP/2.0\r\nContent-Length: 2" + END + b"{}", 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"GET / http/1.1" + END, 400),
    (b"GET / HTTP/1." + END, 400),
    (b"GET HTTP/1.1" + END, 400),
    # methods; they are case-sensitive (RFC 9110 9.1)
    (b"FOO / HTTP/1.1" + END, 501),
    (b"get / HTTP/1.1" + END, 501),
    (b"GETX /collections HTTP/1.1" + END, 501),
    (b"A" * 5_000 + b" / HTTP/1.1" + END, 501),
    (b"GE(T / HTTP/1.1" + END, 400),
    (b'"GET" / HTTP/1.1' + END, 400),
    (b"G\xc3\x89T / HTTP/1.1" + END, 400),
    # targets
    (b"GET conformance HTTP/1.1" + END, 400),
    (b"GET \\conformance HTTP/1.1" + END, 400),
    (b"GET * HTTP/1.1" + END, 400),
    (b"GET /\0 HTTP/1.1" + END, 400),
    (b"GET http://[::1/ HTTP/1.1" + END, 400),
    (b"GET http://x:99999/ HTTP/1.1" + END, 400),
    (b"GET http://x:abc/ HTTP/1.1" + END, 400),
    # headers
    (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
    (b"GET / HTTP/1.1\r\nHost: x" + END, 400),
    (b"GET / HTTP/1.1\r\n: x" + END, 400),
    (b"GET / HTTP/1.1\r\nA B: x" + END, 400),
    (b"GET / HTTP/1.1\r\nA : x" + END, 400),
    (b"GET / HTTP/1.1\r\nA" + END, 400),
    (b"GET / HTTP/1.1\r\nA: x\r\n y" + END, 400),
    (b"GET / HTTP/1.1\r\nA: x\0y" + END, 400),
    (b"GET / HTTP/1.1\r\nA: x\ry" + END, 400),
    (b"GET / HTTP/1.1\n\n", 400),
    (b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: x\r\n" % number for number in range(300)) + END, 400),
    (b"GET / HTTP/1.1\r\nExpect: the best" + END, 417),
    (b"GET /nothing HTTP/1.1\r\nExpect: python" + END, 417),
    (
        b"POST /collections/cities/search HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue, x"
        + END,
        417,
    ),
    # where a body ends
    (b"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked" + END, 400),
    (
        b"POST /collections/cities/search HTTP/1.0\r\nTransfer-Encoding: chunked"
        + END
        + b"2\r\n{}\r\n0\r\n\r\n",
        400,
    ),
    *((SEARCH + b"Content-Length: " + length + b"\r\n\r\n{}", 400) for length in LENGTHS),
    *((SEARCH + b"Transfer-Encoding: " + coding + b"\r\n\r\n", 400) for coding in CODINGS),
    *(
        (CHUNKED + size + b"\r\n{}\r\n0\r\n\r\n", 400)
        for size in (b"zz", b"-2", b"0x2", b"F" * 20, b"1")
    ),
    (CHUNKED + b"2\r\n{}\r\n0\r\nA B\r\n\r\n", 400),
    (CHUNKED + b"2\n{}\n0\n\n", 400),
    # other protocols
    (b"SSH-2.0-OpenSSH_9\r\n\r\n", 400),
    (b"EHLO x\r\n\r\n", 400),
    (b"\0\0\0\x08\x04\xd2\x16\x2f\r\n\r\n", 400),
    (b'{"a":1}\r\n\r\n', 400),
]

TELLTALE = re.compile(
    rb"aiohttp|python|traceback|llhttp|errno|exception|b'|Server: (?!geosvc\r\n)", re.IGNORECASE
)


@pytest.fixture(scope="module", params=["url", "admin_url"])
def address(request: pytest.FixtureRequest, sample_process: Running) -> Iterator[tuple[str, int]]:
    """Where to connect: each listener of the built program."""
    parts = urlsplit(getattr(sample_process, request.param))
    yield str(parts.hostname), int(parts.port or 0)
    assert not unexpected(sample_process)


def answer(address: tuple[str, int], sent: bytes, seconds: float = 10) -> bytes:
    """All that comes back until the connection is closed, or for so long."""
    found = b""
    with socket.create_connection(address, timeout=seconds) as connection, suppress(OSError):
        with suppress(ConnectionError):  # of a line that is too long not all is read
            connection.sendall(sent)
        while piece := connection.recv(1 << 16):
            found += piece
    return found


@pytest.mark.parametrize(
    ("sent", "status"), REFUSED, ids=[str(number) for number in range(len(REFUSED))]
)
def test_what_is_no_request_gets_a_problem_and_harms_nothing(
    address: tuple[str, int], sent: bytes, status: int
) -> None:
    head, _, body = answer(address, sent).partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] %d " % status, head), head
    assert json.loads(body)["status"] == status
    lines = head.split(b"\r\n")
    assert {b"Server: geosvc", b"Content-Type: application/problem+json"} <= set(lines)
    assert not TELLTALE.search(head + body)
    assert (
        b" 200 "
        in answer(address, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")[:20]
    )


SIGNS = [b"\r\n", b"\n", b"\0", b" ", b":", b"\xff"]


def damaged(dice: random.Random) -> bytes:
    """One of the above, or a good request, with some of its bytes changed, left out, repeated or
    put elsewhere.
    """
    good = SEARCH + b"Content-Length: 2\r\n\r\n{}"
    whole = bytearray(dice.choice([good, *(sent for sent, _ in REFUSED if len(sent) < 1_000)]))
    for _ in range(dice.randint(1, 4)):
        at, length = dice.randrange(len(whole)), dice.randint(1, 8)
        piece = dice.choice(
            [b"", dice.randbytes(length), bytes(whole[at : at + length]) * 2, dice.choice(SIGNS)]
        )
        whole[at : at + length] = piece
        whole = whole or bytearray(b"x")
    return bytes(whole) + b"\r\nConnection: close\r\n\r\n"


def test_whatever_arrives_the_answers_are_http_and_tell_nothing_of_what_is_inside(
    address: tuple[str, int],
) -> None:
    dice = random.Random(1)  # the same each time
    sent = [damaged(dice) for _ in range(600)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda each: answer(address, each, 2), sent))
    assert sum(bool(each) for each in answers) > len(sent) / 2
    for asked, each in zip(sent, answers, strict=True):
        if not each:
            continue  # it waits for more
        head = each.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")[0]
        assert re.match(rb"HTTP/1\.[01] [2-5]\d\d ", head), (asked, each)
        assert b"Server: geosvc" in head.split(b"\r\n"), (asked, each)
        assert not head.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500")), (asked, each)
        if b"problem+json" in head:
            assert not TELLTALE.search(each), (asked, each)
        else:
            assert not TELLTALE.search(head), (asked, each)

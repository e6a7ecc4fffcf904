"""Content codings, undone by other decoders than geosvc's own."""

import gzip
import json
import sys
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.encode.compression import CODINGS, compress, make_compressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DECODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "zstd": zstd.decompress}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"a",
        b"\x00" * 100_000,
        json.dumps([{"a": 1}] * 5_000).encode(),
        bytes(range(256)) * 300,
    ],
)
def test_a_body_is_read_back(coding: str, body: bytes) -> None:
    assert DECODERS[coding](compress(body, coding)) == body


@pytest.mark.parametrize("coding", CODINGS)
@given(
    pieces=st.lists(
        st.binary(max_size=300) | st.integers(0, 70_000).map(lambda size: b"ab" * size), max_size=8
    )
)
def test_a_body_in_pieces_is_read_back(coding: str, pieces: list[bytes]) -> None:
    compressor = make_compressor(coding)
    sent = b"".join([*(compressor.compress(piece) for piece in pieces), compressor.flush()])
    assert DECODERS[coding](sent) == b"".join(pieces)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_that_breaks_off_never_looks_whole(coding: str) -> None:
    whole = compress(json.dumps(list(range(20_000))).encode(), coding)
    with pytest.raises((EOFError, zlib.error, zstd.ZstdError)):
        DECODERS[coding](whole[:-5])


@pytest.mark.parametrize("coding", CODINGS)
def test_a_page_of_geojson_becomes_much_smaller(coding: str) -> None:
    features = [
        {"type": "Feature", "id": number, "properties": {"name": f"name {number}"}}
        for number in range(1_000)
    ]
    body = json.dumps(features).encode()
    assert len(compress(body, coding)) < len(body) / 4


@pytest.mark.parametrize("coding", CODINGS)
def test_compressors_share_nothing(coding: str) -> None:
    first, second = make_compressor(coding), make_compressor(coding)
    sent = [b"", b""]
    for number in range(100):
        sent[0] += first.compress(b"first %d" % number)
        sent[1] += second.compress(b"second %d" % number)
    sent = [sent[0] + first.flush(), sent[1] + second.flush()]
    assert DECODERS[coding](sent[0]) == b"".join(b"first %d" % number for number in range(100))
    assert DECODERS[coding](sent[1]) == b"".join(b"second %d" % number for number in range(100))

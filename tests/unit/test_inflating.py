"""Bodies that are inflated as they arrive: what was deflated, or an error, and never much
memory.
"""

import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.bodies.inflating import CODINGS, PIECE_BYTES, CorruptBody, InflatedTooLarge, Inflater
from geosvc.encode.compression import compress

TEXT = b"".join(b'{"type":"Feature","id":%d},' % number for number in range(5_000))


def raw_deflate(text: bytes) -> bytes:
    """The bare stream."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(text) + compressor.flush()


def gzip_with_every_field(text: bytes) -> bytes:
    """A header with extra field, name, comment and a checksum of its own."""
    header = b"\x1f\x8b\x08\x1e" + b"\0" * 6 + b"\x05\0extra" + b"name\0" + b"comment\0"
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    return header + raw_deflate(text) + struct.pack("<II", zlib.crc32(text), len(text))


def stored(text: bytes) -> bytes:
    """A zlib stream whose blocks are not compressed."""
    return zlib.compress(text, 0)


FORMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "isal": ("GZIP", lambda text: compress(text, "gzip")),
    "x-gzip": ("x-gzip", gzip_with_every_field),
    "zlib": ("deflate", zlib.compress),
    "stored": ("deflate", stored),
    "raw": ("deflate", raw_deflate),
    "zstd": ("zstd", lambda text: compress(text, "zstd")),
    "identity": ("identity", bytes),
}
COMPRESSED = {name: form for name, form in FORMS.items() if name != "identity"}
SEVERAL = {name: form for name, form in COMPRESSED.items() if form[0] != "deflate"}

forms = pytest.mark.parametrize(("coding", "deflate"), FORMS.values(), ids=FORMS)
compressed_forms = pytest.mark.parametrize(
    ("coding", "deflate"), COMPRESSED.values(), ids=COMPRESSED
)
several_forms = pytest.mark.parametrize(("coding", "deflate"), SEVERAL.values(), ids=SEVERAL)


def inflate(coding: str, pieces: Iterable[bytes], max_bytes: int = 1 << 30) -> bytes:
    """A whole body."""
    inflater = Inflater(coding, max_bytes)
    inflated = [each for data in pieces for each in inflater.feed(data)]
    inflater.finish()
    assert all(0 < len(each) <= PIECE_BYTES for each in inflated)
    return b"".join(inflated)


def cut(body: bytes, size: int) -> list[bytes]:
    """A body in pieces of a length."""
    return [body[at : at + size] for at in range(0, len(body), size)]


@forms
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1 << 16])
def test_a_body_is_inflated_however_it_is_cut(
    coding: str, deflate: Callable[[bytes], bytes], size: int
) -> None:
    for text in (b"", b"x", TEXT):
        assert inflate(coding, cut(deflate(text), size)) == text


@given(
    st.sampled_from(sorted(FORMS)),
    st.binary(max_size=300).map(lambda text: text * 20),
    st.lists(st.integers(0, 500)),
)
def test_any_body_is_inflated_wherever_it_is_cut(form: str, text: bytes, cuts: list[int]) -> None:
    coding, deflate = FORMS[form]
    body = deflate(text)
    places = [0, *sorted(cuts), len(body)]
    assert inflate(coding, [body[begin:end] for begin, end in pairwise(places)]) == text


@several_forms
@pytest.mark.parametrize("size", [1, 50, 1 << 16])
def test_several_members_in_a_row_are_one_body(
    coding: str, deflate: Callable[[bytes], bytes], size: int
) -> None:
    body = b"".join(map(deflate, [b"one", b"", TEXT, b"two"]))
    assert inflate(coding, cut(body, size)) == b"one" + TEXT + b"two"


def test_a_bare_stream_that_begins_like_a_zlib_stream_is_inflated() -> None:
    padded = (
        b"\x08" + struct.pack("<HH", 5, 0xFFFF - 5) + b"hello"
    )  # a stored block (RFC 1951 3.2.4), bits set that mean nothing
    assert inflate("deflate", cut(padded + raw_deflate(b" world"), 1)) == b"hello world"


def test_frames_of_zstd_that_are_to_be_skipped_are_skipped() -> None:
    skipped = struct.pack("<II", 0x184D2A50, 3) + b"abc"
    assert inflate("zstd", cut(skipped + compress(TEXT, "zstd") + skipped, 1)) == TEXT


@compressed_forms
def test_a_body_that_ends_anywhere_too_early_is_refused(
    coding: str, deflate: Callable[[bytes], bytes]
) -> None:
    body = deflate(b'{"type":"Feature"}' * 3)
    for size in range(len(body)):
        with pytest.raises(CorruptBody, match="is cut off"):
            inflate(coding, [body[:size]])


@several_forms
def test_a_second_member_that_ends_too_early_is_refused(
    coding: str, deflate: Callable[[bytes], bytes]
) -> None:
    body = deflate(TEXT)
    for size in (1, 2, 5, len(body) - 1):
        with pytest.raises(CorruptBody, match="is cut off"):
            inflate(coding, [body, body[:size]])


@compressed_forms
@pytest.mark.parametrize("size", [1, 1 << 16])
def test_what_follows_the_end_is_refused(
    coding: str, deflate: Callable[[bytes], bytes], size: int
) -> None:
    for rubbish in (b"\0\0\0\0\0\0\0\0", b"{}          ", b"\n" * 20):
        with pytest.raises(CorruptBody, match="has more bytes after"):
            inflate(coding, cut(deflate(TEXT) + rubbish, size))


@pytest.mark.parametrize("form", ["gzip", "isal", "x-gzip", "zlib", "stored"])
def test_any_flipped_bit_of_a_stream_with_a_checksum_is_noticed(form: str) -> None:
    coding, deflate = FORMS[form]
    text = b'{"type":"Feature"}' * 3
    body = deflate(text)
    for at in range(len(body) * 8):
        flipped = bytearray(body)
        flipped[at // 8] ^= 1 << at % 8
        with suppress(CorruptBody):  # a bit of the date in the header may flip
            assert inflate(coding, [bytes(flipped)]) == text


@pytest.mark.parametrize("coding", CODINGS)
def test_what_was_never_compressed_is_refused(coding: str) -> None:
    for body in (TEXT, b"\xff" * 100, b'{"type":"Feature"}'):
        with pytest.raises(CorruptBody, match=f"the {coding} stream is"):
            inflate(coding, [body])


@forms
def test_a_body_may_inflate_to_as_much_as_allowed_and_no_more(
    coding: str, deflate: Callable[[bytes], bytes]
) -> None:
    for text in (b"x", TEXT, b"x" * (3 * PIECE_BYTES)):
        body = deflate(text)
        assert inflate(coding, [body], len(text)) == text
        with pytest.raises(InflatedTooLarge, match=f"larger than {len(text) - 1} bytes"):
            inflate(coding, [body], len(text) - 1)


@compressed_forms
def test_a_bomb_is_never_in_memory(coding: str, deflate: Callable[[bytes], bytes]) -> None:
    size = 100 << 20
    body = b"" if coding == "deflate" else deflate(bytes(1 << 20)) * 99
    body = deflate(bytes(size)) if coding == "deflate" else body + deflate(bytes(1 << 20))
    inflater = Inflater(coding, size)
    tracemalloc.start()
    try:
        assert sum(map(len, inflater.feed(body))) == size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    inflater.finish()
    assert peak < 5 << 20
    with pytest.raises(InflatedTooLarge):
        inflate(coding, [body], size - 1)


def test_a_frame_of_zstd_that_wants_a_window_of_more_than_8_mib_is_refused() -> None:
    def frame(window_log: int) -> bytes:
        block = (1 << 3 | 1).to_bytes(3, "little") + b"x"  # the last, raw, of one byte
        return struct.pack("<IBB", 0xFD2FB528, 0, window_log - 10 << 3) + block

    assert inflate("zstd", [frame(23)]) == b"x"
    with pytest.raises(CorruptBody, match="its window is larger than 8 MiB"):
        inflate("zstd", [frame(24)])


def test_thousands_of_empty_members_are_read_one_after_the_other() -> None:
    assert inflate("gzip", [gzip.compress(b"") * 20_000]) == b""
    assert inflate("zstd", [compress(b"", "zstd") * 20_000]) == b""


def test_other_codings_are_unknown() -> None:
    for coding in ("br", "", "gzip, gzip"):
        with pytest.raises(ValueError, match="unknown coding"):
            Inflater(coding, 1)


def test_empty_members_without_end_are_refused() -> None:
    inflater, member = Inflater("gzip", 1_000), gzip.compress(b"")
    endless = (piece for _ in range(2_000) for piece in inflater.feed(member))
    with pytest.raises(InflatedTooLarge):
        list(endless)

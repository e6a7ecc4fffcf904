"""The encoding of the texts in a shapefile's table (.dbf).

Source: dBase III and IV; the language driver is byte 29.
"""

import codecs
import glob
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# none; windows-1252; "ANSI", which GDAL reads as ISO-8859-1
_DRIVERS_WITHOUT_ENCODING = frozenset({0x00, 0x03, 0x57})
_CODE_PAGE = re.compile(r"(?:ansi |oem |ldid/)?\d+|8859[-_]\d+")  # as GDAL has them
_HEAD_BYTES = 32
_LANGUAGE_DRIVER = 29
_PIECE_BYTES = 1 << 20
_LATIN_1 = frozenset(
    {
        "1252",
        "88591",
        "8859-1",
        "iso-8859-1",
        "iso88591",
        "iso 8859-1",
        "latin1",
        "latin-1",
        "ansi 1252",
    }
)


def guess_encoding(path: Path) -> str | None:
    """The encoding of a shapefile's texts, from their bytes.

    None where the file names its encoding, and where all texts are ASCII.
    """
    table = table_of(path)
    if table is None:
        return None
    name = _named_encoding(path)
    with table.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            return None
        if name and name not in _LATIN_1:
            return None
        if not name and head[_LANGUAGE_DRIVER] not in _DRIVERS_WITHOUT_ENCODING:
            return None
        return _encoding_of(_pieces(file), is_latin=bool(name))


def table_of(path: Path) -> Path | None:
    """The table of a shapefile; None where it has none, and for other files."""
    if path.suffix.lower() not in (".shp", ".dbf"):
        return None
    return find_sibling(path, ".dbf")


def _named_encoding(path: Path) -> str:
    """The encoding that the .cpg names, in lower case; empty when GDAL and Python know none."""
    cpg = find_sibling(path, ".cpg")
    if cpg is None:
        return ""
    name = cpg.read_text("ascii", "replace").strip().lower()
    return name if _is_known(name) else ""


def _is_known(name: str) -> bool:
    """Whether GDAL or Python knows an encoding of this name."""
    if _CODE_PAGE.fullmatch(name):
        return True
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return True


def gdal_name(encoding: str) -> str:
    """The name by which iconv and GDAL know an encoding that Python knows by any name."""
    name = codecs.lookup(encoding).name
    if name.startswith("iso8859-"):
        return name.replace("iso8859-", "ISO-8859-").upper()
    if name.startswith("euc"):
        name = name.replace("_", "-")
    return name.upper()


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece


def _encoding_of(pieces: Iterator[bytes], *, is_latin: bool) -> str | None:
    """The encoding of a text: bytes that are valid UTF-8 are hardly ever anything else."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_ascii = True
    is_utf8 = not is_latin
    for piece in pieces:
        is_ascii = is_ascii and piece.isascii()
        try:
            if is_utf8:
                decoder.decode(piece)
        except UnicodeDecodeError:
            is_utf8 = False
        if not is_ascii and not is_utf8:
            break
    if is_ascii:
        return None
    return "utf-8" if is_utf8 else "windows-1252"


def find_sibling(path: Path, suffix: str) -> Path | None:
    """The file of the same name with another suffix, in upper or lower case."""
    for sibling in path.parent.glob(f"{glob.escape(path.stem)}.*"):
        if sibling.suffix.lower() == suffix:
            return sibling
    return None

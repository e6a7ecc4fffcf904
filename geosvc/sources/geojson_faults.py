"""Describes, for a person, why features of GeoJSON cannot be decoded."""

import codecs
import json
import re
from collections.abc import Iterable

import msgspec

from geosvc.bodies.splitting import Piece
from geosvc.sources.file_reader import ENCODING_HINT
from geosvc.sources.geojson_features import (
    InspectedFeature,
    loaded_decoder,
    members_decoder,
    value_decoder,
)

_ELEMENT = re.compile(r"\$\[(\d+)\]")  # of the list of features, in a message of msgspec
_BLANK = re.compile(r"[ \t\r\n,]*")
_NOT_UTF8 = f"is not UTF-8: {ENCODING_HINT}"


def explain_invalid(piece: Piece, error: msgspec.ValidationError) -> tuple[str, int]:
    """Describes the fault of a feature whose members have wrong types.

    Args:
        error: of the list of the features of the piece.
    Returns: what is wrong; the index of the feature in the piece.
    """
    message = str(error)
    element = _ELEMENT.search(message)
    if element is None:
        return explain_malformed(piece)
    index = int(element[1])
    message = _ELEMENT.sub("", message).replace("$", "")
    message = message.removesuffix(" - at ``")
    if ".properties[...]" in message:
        name = _unreadable_property(piece, index)
        message = message.replace("`.properties[...]`", name)
    return message, index


def explain_malformed(piece: Piece) -> tuple[str, int]:
    """Describes the fault of the first feature of a piece that is not JSON.

    Returns: what is wrong; the index of the feature in the piece.
    """
    text = piece.text.decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder()
    end = index = 0
    while end < len(text):
        start = _skip_blanks(text, end)
        try:
            _, end = decoder.raw_decode(text, start)
            msgspec.json.decode(text[start:end].encode(), type=InspectedFeature)
        except json.JSONDecodeError as error:
            return f"is not JSON: {error.msg}", index
        except UnicodeEncodeError:
            return _NOT_UTF8, index
        except (ValueError, RecursionError) as error:
            if _has_lone_surrogate(text[start:end]):
                problem = (
                    "holds half a character (\\ud800 to \\udfff alone), which cannot be stored"
                )
                return problem, index
            return f"is not JSON that can be stored: {error}", index
        index += 1
    return "is not JSON", 0


def not_utf8_or(problem: str, pieces: Iterable[bytes]) -> str:
    """The problem of a file; but if the file is not UTF-8, that is the problem."""
    try:
        for _ in codecs.iterdecode(pieces, "utf-8-sig"):
            pass
    except UnicodeDecodeError:
        return _NOT_UTF8
    return problem


def _unreadable_property(piece: Piece, index: int) -> str:
    """The first property of a feature whose value cannot be read."""
    features = loaded_decoder.decode(b"[" + piece.text + b"]")
    properties = features[index].properties
    for name, value in members_decoder.decode(properties).items():
        try:
            value_decoder.decode(value)
        except ValueError:
            return f"the property {name}"
    return "the properties"


def _skip_blanks(text: str, start: int) -> int:
    blanks = _BLANK.match(text, start)
    if blanks is None:
        return start
    return blanks.end()


def _has_lone_surrogate(text: str) -> bool:
    """Whether a JSON text escapes one of the two halves of a character alone."""
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False

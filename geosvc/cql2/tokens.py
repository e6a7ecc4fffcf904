"""CQL2 text cut into tokens. Source: OGC 21-065r2, Annex B."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from geosvc.errors import InvalidFilter


class Kind(Enum):
    """What a token is."""

    WORD = auto()
    """A keyword, or a name without quotes."""
    NAME = auto()
    """A name in double quotes."""
    TEXT = auto()
    """In single quotes."""
    NUMBER = auto()
    SIGN = auto()
    """An operator, a parenthesis or a comma."""
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token.

    Attributes:
        text: without its quotes.
        at: where it begins, counted from 1.
    """

    kind: Kind
    text: str
    at: int

    @property
    def word(self) -> str:
        """In upper case, for comparison with keywords; nothing when it is no word."""
        return self.text.upper() if self.kind is Kind.WORD and self.text.isascii() else ""  # the upper case of a dotless i is I

    def is_sign(self, sign: str) -> bool:
        """Whether it is this operator, parenthesis or comma."""
        return self.kind is Kind.SIGN and self.text == sign


_START = (
    ":_A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1ffe\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_TOKEN = re.compile(
    rf"""(?P<BLANK>[ \t\r\n\f\v\u0085\u00a0]+)
    |(?P<WORD>[{_START}][{_START}.0-9\u0300-\u036f\u203f\u2040]*)
    |(?P<NUMBER>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<TEXT>'(?:[^'\\]|''|\\'|\\(?!'))*')
    |(?P<NAME>"(?:[^"]|"")*")
    |(?P<SIGN><>|<=|>=|[<>=+\-*/%^(),])""",
    re.VERBOSE,
)

_QUOTE = re.compile(r"''|\\'")


def _unquote(kind: Kind, text: str) -> str:
    if kind is Kind.NAME:
        return text[1:-1].replace('""', '"')
    return _QUOTE.sub("'", text[1:-1])


def cut(text: str) -> list[Token]:
    """The tokens, and one for the end. Raises: InvalidFilter."""
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidFilter(_strange(text[position]), position + 1)
        if match.lastgroup != "BLANK":
            kind = Kind[match.lastgroup or "END"]
            found = match.group()
            quoted = kind in (Kind.TEXT, Kind.NAME)
            tokens.append(Token(kind, _unquote(kind, found) if quoted else found, position + 1))
        position = match.end()
    tokens.append(Token(Kind.END, "", len(text) + 1))
    return tokens


def _strange(character: str) -> str:
    if character in "'\"":
        return f"a closing {character} is missing"
    return f"{character!r} means nothing here"

"""CQL2 text cut into tokens. Source: OGC 21-065r2, Annex B."""

import re
from enum import Enum, auto
from typing import NamedTuple

from geosvc.errors import InvalidFilter


class TokenKind(Enum):
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


class Token(NamedTuple):
    """A token.

    Attributes:
        text: without its quotes.
        at: where it begins, counted from 1.
        word: in upper case, for comparison with keywords; nothing when it is no word.
    """

    kind: TokenKind
    text: str
    at: int
    word: str = ""

    def is_sign(self, sign: str) -> bool:
        """Whether it is this operator, parenthesis or comma."""
        return self.kind is TokenKind.SIGN and self.text == sign


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

_KINDS = {kind.name: kind for kind in TokenKind}  # BLANK is none
_QUOTE = re.compile(r"''|\\'")


def _unquote(kind: TokenKind, text: str) -> str:
    if kind is TokenKind.NAME:
        return text[1:-1].replace('""', '"')
    return _QUOTE.sub("'", text[1:-1])


def _cut(text: str) -> list[Token]:
    """The tokens, and one for the end. Raises: InvalidFilter."""
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidFilter(_strange(text, position), position + 1)
        if text.startswith("==", position):
            raise InvalidFilter(_strange(text, position), position + 1)
        kind = _KINDS.get(match.lastgroup or "")
        if kind is not None:
            found = match.group()
            if kind is TokenKind.WORD:
                word = (
                    found.upper() if found.isascii() else ""
                )  # the upper case of a dotless i is I
                tokens.append(Token(kind, found, position + 1, word))
            else:
                quoted = kind is TokenKind.TEXT or kind is TokenKind.NAME
                tokens.append(Token(kind, _unquote(kind, found) if quoted else found, position + 1))
        position = match.end()
    tokens.append(Token(TokenKind.END, "", len(text) + 1))
    return tokens


# as other languages write it, and CQL2 does
_ELSEWHERE = {"!=": "<>", "==": "=", "&&": "AND", "||": "OR", "!": "NOT"}


def _strange(text: str, position: int) -> str:
    for strange, own in _ELSEWHERE.items():
        if text.startswith(strange, position):
            return f"{strange!r} means nothing here: CQL2 writes {own}"
    character = text[position]
    if character in "'\"":
        return f"a closing {character} is missing"
    return f"{character!r} means nothing here"


class Tokens:
    """The tokens of a filter, and how far they are read."""

    def __init__(self, text: str) -> None:
        self._tokens = _cut(text)
        self._place = 0

    @property
    def next(self) -> Token:
        """The token to be read next."""
        return self._tokens[self._place]

    @property
    def following(self) -> Token:
        """The token behind the next."""
        return self._tokens[min(self._place + 1, len(self._tokens) - 1)]

    def take(self) -> Token:
        """Reads a token."""
        token = self._tokens[self._place]
        if token.kind is not TokenKind.END:
            self._place += 1
        return token

    def has_sign(self, sign: str) -> bool:
        """Reads the sign if it is next."""
        found = self.next.is_sign(sign)
        self._place += found
        return found

    def has_word(self, word: str) -> bool:
        """Reads the keyword if it is next."""
        found = self.next.word == word
        self._place += found
        return found

    def expect(self, sign: str) -> Token:
        """Reads the sign. Raises: InvalidFilter."""
        if not self.next.is_sign(sign):
            raise self.unexpected(repr(sign))
        return self.take()

    def expect_word(self, word: str) -> Token:
        """Reads the keyword. Raises: InvalidFilter."""
        if self.next.word != word:
            raise self.unexpected(word)
        return self.take()

    def begins_list(self) -> bool:
        """Whether a parenthesis is next that holds nothing, or several with commas between them."""
        if not self.next.is_sign("("):
            return False
        depth = 0
        for place in range(self._place, len(self._tokens)):
            token = self._tokens[place]
            depth += token.is_sign("(") - token.is_sign(")")
            if depth == 0 or (depth == 1 and token.is_sign(",")):
                return token.text == "," or self.following.is_sign(")")
        return False

    def unexpected(self, expected: str) -> InvalidFilter:
        """What is wrong with the next token."""
        found = "the end" if self.next.kind is TokenKind.END else repr(self.next.text[:40])
        return InvalidFilter(f"{expected} was expected, not {found}", self.next.at)

"""Splits CQL2 text into tokens. Source: OGC 21-065r2, Annex B."""

import re
from enum import Enum, auto
from typing import NamedTuple

from geosvc.errors import InvalidFilter


class TokenKind(Enum):
    """The kinds of tokens."""

    WORD = auto()
    """A keyword, or a name without quotes."""
    NAME = auto()
    """A name in double quotes."""
    TEXT = auto()
    """A text in single quotes."""
    NUMBER = auto()
    """A number without a sign."""
    SIGN = auto()
    """An operator, a parenthesis or a comma."""
    END = auto()
    """The end of the filter."""


class Token(NamedTuple):
    """A token.

    Attributes:
        text: the characters of the token, without quotes.
        at: the number of its first character, counted from 1.
        word: the text in upper case, to compare it with keywords; empty if it cannot be a keyword.
    """

    kind: TokenKind
    text: str
    at: int
    word: str = ""

    def is_sign(self, sign: str) -> bool:
        """Whether the token is this operator, parenthesis or comma."""
        return self.kind is TokenKind.SIGN and self.text == sign


# Annex B, identifierStart: the characters with which a name may begin
_NAME_START = (
    r":_A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1ffe\u200c\u200d"
    r"\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_TOKEN = re.compile(
    rf"""(?P<BLANK>[ \t\r\n\f\v\u0085\u00a0]+)
    |(?P<WORD>[{_NAME_START}][{_NAME_START}.0-9\u0300-\u036f\u203f\u2040]*)
    |(?P<NUMBER>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<TEXT>'(?:[^'\\]|''|\\'|\\(?!'))*')
    |(?P<NAME>"(?:[^"]|"")*")
    |(?P<SIGN><>|<=|>=|[<>=+\-*/%^(),])""",
    re.VERBOSE,
)
_ESCAPED_QUOTE = re.compile(r"''|\\'")

# operators of other languages, and what CQL2 has instead
_FOREIGN_OPERATORS = {"!=": "<>", "==": "=", "&&": "AND", "||": "OR", "!": "NOT"}


def _tokenize(text: str) -> list[Token]:
    """The tokens of a filter, and one for its end. Raises: InvalidFilter."""
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or text.startswith("==", position):
            raise InvalidFilter(_describe_unknown(text, position), position + 1)
        if match.lastgroup != "BLANK":
            tokens.append(_make_token(match))
        position = match.end()
    tokens.append(Token(TokenKind.END, "", len(text) + 1))
    return tokens


def _make_token(match: re.Match[str]) -> Token:
    """The token for a match of a group of `_TOKEN`, which is named like its kind."""
    found = match.group()
    at = match.start() + 1
    match match.lastgroup:
        case "WORD":
            # no keyword has other letters, but str.upper makes I of the dotless i
            word = found.upper() if found.isascii() else ""
            return Token(TokenKind.WORD, found, at, word)
        case "SIGN":
            return Token(TokenKind.SIGN, found, at)
        case "NUMBER":
            return Token(TokenKind.NUMBER, found, at)
        case "TEXT":
            return Token(TokenKind.TEXT, _ESCAPED_QUOTE.sub("'", found[1:-1]), at)
        case _:
            return Token(TokenKind.NAME, found[1:-1].replace('""', '"'), at)


def _describe_unknown(text: str, position: int) -> str:
    """The message about a character that begins no token."""
    for foreign, operator in _FOREIGN_OPERATORS.items():
        if text.startswith(foreign, position):
            return f"{foreign!r} means nothing here: CQL2 writes {operator}"
    character = text[position]
    if character in "'\"":
        return f"a closing {character} is missing"
    return f"{character!r} means nothing here"


class Tokens:
    """The tokens of a filter, which a parser takes one after another.

    Attributes:
        next: the token that is taken next. Its kind is END when all have been taken.
    """

    def __init__(self, text: str) -> None:
        """Raises: InvalidFilter."""
        self._tokens = _tokenize(text)
        self._index = 0
        self.next = self._tokens[0]

    @property
    def after_next(self) -> Token:
        """The token after the next; the end if there is none."""
        last = len(self._tokens) - 1
        return self._tokens[min(self._index + 1, last)]

    def take(self) -> Token:
        """Takes the next token and returns it. The end can be taken any number of times."""
        token = self.next
        if token.kind is not TokenKind.END:
            self._index += 1
            self.next = self._tokens[self._index]
        return token

    def take_sign(self, sign: str) -> bool:
        """Takes the next token if it is this sign. Returns whether it was."""
        if not self.next.is_sign(sign):
            return False
        self.take()
        return True

    def take_word(self, word: str) -> bool:
        """Takes the next token if it is this keyword. Returns whether it was."""
        if self.next.word != word:
            return False
        self.take()
        return True

    def expect_sign(self, sign: str) -> Token:
        """Takes a sign, which must be next. Raises: InvalidFilter."""
        if not self.next.is_sign(sign):
            raise self.unexpected(repr(sign))
        return self.take()

    def expect_word(self, word: str) -> Token:
        """Takes a keyword, which must be next. Raises: InvalidFilter."""
        if self.next.word != word:
            raise self.unexpected(word)
        return self.take()

    def begins_list(self) -> bool:
        """Whether a list is next: `()`, or parentheses with a comma in them, such as `(1, 2)`.

        `(1 + 2)` is a value in parentheses. Commas in inner parentheses do not count.
        """
        if not self.next.is_sign("("):
            return False
        if self.after_next.is_sign(")"):
            return True
        depth = 0
        for index in range(self._index, len(self._tokens)):
            token = self._tokens[index]
            if token.is_sign("("):
                depth += 1
            elif token.is_sign(")"):
                depth -= 1
            if depth == 0:
                return False
            if depth == 1 and token.is_sign(","):
                return True
        return False

    def unexpected(self, expected: str) -> InvalidFilter:
        """The error for a next token that is not what is expected."""
        found = "the end"
        if self.next.kind is not TokenKind.END:
            found = repr(self.next.text[:40])
        return InvalidFilter(f"{expected} was expected, not {found}", self.next.at)

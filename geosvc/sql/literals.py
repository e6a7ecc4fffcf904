"""Finds the literals of SQL: to group statements without them, and to redact the output of EXPLAIN.

Source: PostgreSQL documentation 4.1, Lexical Structure.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

# The time must stay linear in the length of the text. So sets of characters repeat possessively
# (++, *+), and a literal without an end takes no longer than one with an end.
# Groups do not: before Python 3.11.5 the match continues at a wrong place after a possessive group
# (issue 106052 of CPython). What follows a repeated group either cannot fail, or fails wherever
# the group ends.
# For PostgreSQL every character beyond ASCII is a letter, and never a digit or a space.
_LETTER = r"[A-Za-z_\x80-\U0010ffff]"
_LETTER_OR_DIGIT = r"[A-Za-z0-9_\x80-\U0010ffff]"
_QUOTED = r'"(?:[^"]++|"")*"(?!")'
_NAME = rf"(?:{_QUOTED}|{_LETTER}{_LETTER_OR_DIGIT}*+)"
_TYPE = rf"{_NAME}(?:\.{_NAME})*(?:\ (?:precision|varying))?"
_MODIFIER = r"\ ?\((?:[A-Za-z]++,\ ?)?(?:\?|\d{1,6})(?:,\ ?(?:\?|-?\d{1,6}))?\)"
# a string literal continues after a line break, with the same escapes
_CONTINUATION = r"'(?:[ \t\f\v]|--[^\n\r]*+)*[\n\r](?:\s|--[^\n\r]*+[\n\r])*'"
_FRACTION = r"(?:\d[\d_]*+(?:\.[\d_]*+)?|\.\d[\d_]*+)"
_TOKEN = re.compile(
    rf"""
    (?P<space>\s++|--[^\n\r]*+)
    |(?P<comment>/\*)
    |(?P<dollar>\$(?:{_LETTER}{_LETTER_OR_DIGIT}*+)?\$)
    |(?P<srid>\d{{1,6}}(?=\s*+\))|'\d{{1,6}}'(?=::integer\s*+\)))
    |(?P<quoted>(?:[uU]&)?{_QUOTED})
    |(?P<string>[eE]'(?:[^'\\]++|\\.|''|{_CONTINUATION})*\\?'?
        |(?:[uU]&|[bBxXnN])?'(?:[^']++|''|{_CONTINUATION})*'?
        |(?:[uU]&)?".*)  # a quoted name without an end: it may contain literals
    |(?P<param>\$\d++)
    |(?P<word>{_LETTER}[A-Za-z0-9_$\x80-\U0010ffff]*+)
    |(?P<number>0[xXoObB][0-9A-Fa-f_]++|{_FRACTION}(?:[eE][+-]?\d[\d_]*+)?)
    |(?P<type>::\ ?{_TYPE}{_MODIFIER})
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_ITEM = rf"(?:\?|\$\d++)(?:::{_TYPE}(?:{_MODIFIER})?(?:\[\??\])*)*"
_ITEMS = rf"(?:[-+]\ ?)?{_ITEM}(?:\ ?,\ ?(?:[-+]\ ?)?{_ITEM})*"
_LIST = re.compile(
    rf"""
    {_QUOTED}
    |(?<!{_LETTER_OR_DIGIT})(?<!\$)
    (?P<open>(?P<values>VALUES\ ?\()|IN\ ?\(|ARRAY\ ?\[)
    \ ?(?=(?:[-+]\ ?)?(?P<item>{_ITEM})){_ITEMS}\ ?
    (?P<close>[)\]])
    (?(values)(?:\ ?,\ ?\(\ ?{_ITEMS}\ ?\))*)
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_LITERALS = frozenset({"string", "number", "srid"})
_IGNORED = frozenset({"space", "comment"})
_FUNCTIONS_WITH_SRID = frozenset({"st_transform", "st_setsrid"})


def tokens(sql: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of each token. The texts together are the SQL.

    Literals are the kinds string, number, and srid: a number that may be an SRID. Other kinds are
    space, comment, quoted, param, word, type and other.
    """
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        assert match is not None  # `other` matches any character
        text = match.group()
        kind, end = str(match.lastgroup), match.end()
        if text.startswith("--"):
            kind = "comment"
        elif kind == "comment":
            end = _end_of_comment(sql, position)
        elif kind == "dollar":
            kind, end = "string", _end_of_dollar_string(sql, text, end)
        yield kind, sql[position:end]
        position = end


def _end_of_comment(sql: str, start: int) -> int:
    """The end of the block comment that begins at `start`; block comments can be nested."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)


def _end_of_dollar_string(sql: str, tag: str, start: int) -> int:
    """The end of the string in dollar quotes whose content begins at `start`."""
    close = sql.find(tag, start)
    if close < 0:
        return len(sql)
    return close + len(tag)


def called_functions(expression: str) -> set[str]:
    """The functions in an expression that EXPLAIN printed; names without schemas and quotes.

    EXPLAIN prints keywords in capitals. The modifier of a type, as in `varchar(20)`, is no call.
    """
    found = set()
    name = ""  # the name directly before the token; "" if there is none
    is_in_cast = False
    for kind, text in tokens(expression):
        if text == "(" and name and not is_in_cast:
            found.add(_unquoted(name))
        if kind in _IGNORED:
            continue
        is_name_part = kind in ("word", "quoted")
        is_in_cast = text == ":" or (is_in_cast and is_name_part)
        is_keyword = kind == "word" and text != text.lower()
        name = text if is_name_part and not is_keyword else ""
    return found


def _unquoted(name: str) -> str:
    if not name.startswith('"'):
        return name
    return name[1:-1].replace('""', '"')


def parameters_in(expression: str) -> set[str]:
    """The parameters in an expression, such as `$1`."""
    return {text for kind, text in tokens(expression) if kind == "param"}


def normalise(sql: str) -> str:
    """The SQL with `?` for each literal, without comments, and with one space between words.

    Lists of literals have one item. Modifiers of types after `::` are kept. A sign before a number
    is kept too, except in lists.
    """
    pieces: list[str] = []
    for kind, text in tokens(sql):
        if kind in _LITERALS:
            pieces.append("?")
        elif kind not in _IGNORED:
            pieces.append(text)
        elif pieces and pieces[-1] != " ":
            pieces.append(" ")
    if pieces and pieces[-1] == " ":
        pieces.pop()
    return _LIST.sub(_keep_one_item, "".join(pieces))


def _keep_one_item(found: re.Match[str]) -> str:
    """The list with its first item only; a quoted name as it is."""
    if found["open"] is None:
        return found.group()
    return found["open"] + found["item"] + found["close"]


@lru_cache(maxsize=1024)
def fingerprint(sql: str) -> str:
    """16 hexadecimal digits; equal for SQL that differs in literals, comments and spaces only."""
    normalised = normalise(sql).encode("utf-8", "surrogatepass")
    return blake2b(normalised, digest_size=8).hexdigest()


def redact(expression: str) -> str:
    """A condition that EXPLAIN printed, with `'…'` and `…` for literals, and without comments.

    Modifiers of types are kept, and so is an SRID that is the last argument of a function.
    """
    pieces: list[str] = []
    functions: list[str] = []  # the word before each open parenthesis
    previous = ""
    for kind, text in tokens(expression):
        is_srid = kind == "srid" and previous == "," and _takes_srid(functions)
        if kind == "comment":
            pieces.append(" ")
        elif kind in _LITERALS and not is_srid:
            pieces.append(_redacted(text))
        else:
            pieces.append(text)
        if text == "(":
            functions.append(previous)
        elif text == ")" and functions:
            functions.pop()
        if kind not in _IGNORED:
            previous = text.lower()
    return "".join(pieces)


def _takes_srid(functions: list[str]) -> bool:
    """Whether the innermost function has an SRID as its last argument."""
    return bool(functions) and functions[-1] in _FUNCTIONS_WITH_SRID


def _redacted(literal: str) -> str:
    is_number = literal[0] in ".0123456789"
    return "…" if is_number else "'…'"

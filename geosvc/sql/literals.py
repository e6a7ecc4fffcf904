"""The literals of SQL texts: left out to group statements, and redacted in what EXPLAIN prints.

Source: PostgreSQL documentation 4.1, Lexical Structure.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

# Sets of characters repeat possessively, so that a literal that never ends takes no longer than one that does. Groups do not:
# before 3.11.5 Python goes on from the wrong place behind a possessive group (its issue 106052). What follows a repeated group
# cannot fail, or fails wherever else the group might have ended. All beyond ASCII is a letter to PostgreSQL; nothing of it
# is a digit or a space.
_LETTER, _LETTER_OR_DIGIT = r"[A-Za-z_\x80-\U0010ffff]", r"[A-Za-z0-9_\x80-\U0010ffff]"
_QUOTED = r'"(?:[^"]++|"")*"(?!")'
_NAME = rf"(?:{_QUOTED}|{_LETTER}{_LETTER_OR_DIGIT}*+)"
_TYPE = rf"{_NAME}(?:\.{_NAME})*(?:\ (?:precision|varying))?"
_MODIFIER = r"\ ?\((?:[A-Za-z]++,\ ?)?(?:\?|\d{1,6})(?:,\ ?(?:\?|-?\d{1,6}))?\)"
# a literal goes on in the same way behind a line break
_GOES_ON = r"'(?:[ \t\f\v]|--[^\n\r]*+)*[\n\r](?:\s|--[^\n\r]*+[\n\r])*'"
_TOKEN = re.compile(
    rf"""
    (?P<space>\s++|--[^\n\r]*+)
    |(?P<comment>/\*)
    |(?P<dollar>\$(?:{_LETTER}{_LETTER_OR_DIGIT}*+)?\$)
    |(?P<srid>\d{{1,6}}(?=\s*+\))|'\d{{1,6}}'(?=::integer\s*+\)))
    |(?P<quoted>(?:[uU]&)?{_QUOTED})
    |(?P<string>[eE]'(?:[^'\\]++|\\.|''|{_GOES_ON})*\\?'?
        |(?:[uU]&|[bBxXnN])?'(?:[^']++|''|{_GOES_ON})*'?
        |(?:[uU]&)?".*)  # a name that never ends: who knows what it holds
    |(?P<param>\$\d++)
    |(?P<word>{_LETTER}[A-Za-z0-9_$\x80-\U0010ffff]*+)
    |(?P<number>0[xXoObB][0-9A-Fa-f_]++|(?:\d[\d_]*+(?:\.[\d_]*+)?|\.\d[\d_]*+)(?:[eE][+-]?\d[\d_]*+)?)
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
    |(?<!{_LETTER_OR_DIGIT})(?<!\$)(?P<open>(?P<values>VALUES\ ?\()|IN\ ?\(|ARRAY\ ?\[)
    \ ?(?=(?:[-+]\ ?)?(?P<item>{_ITEM})){_ITEMS}\ ?(?P<close>[)\]])(?(values)(?:\ ?,\ ?\(\ ?{_ITEMS}\ ?\))*)
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_LITERALS = frozenset({"string", "number", "srid"})
_TAKES_SRID = frozenset({"st_transform", "st_setsrid"})


def _end_of_comment(sql: str, start: int) -> int:
    """Where the block comment that begins at `start` ends; they nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(sql)


def tokens(sql: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of every token: space, comment, string, number, srid (a number that may be one) and others, which stay."""
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        assert match is not None  # the last alternative takes anything
        kind, end = str(match.lastgroup), match.end()
        if kind == "comment" or match.group().startswith("--"):
            kind, end = "comment", _end_of_comment(sql, position) if kind == "comment" else end
        elif kind == "dollar":
            close = sql.find(match.group(), end)
            kind, end = "string", len(sql) if close < 0 else close + len(match.group())
        yield kind, sql[position:end]
        position = end


def _one_item(found: re.Match[str]) -> str:
    return (
        found.group() if found["open"] is None else found["open"] + found["item"] + found["close"]
    )


def calls(expression: str) -> set[str]:
    """The names of the functions that an expression of EXPLAIN's calls, without schemas and quotes. EXPLAIN writes keywords in
    capitals; the modifier of a type is no call.
    """
    found, last, after_cast = set(), "", False
    for kind, text in tokens(expression):
        if text == "(" and last and not after_cast:
            found.add(last[1:-1].replace('""', '"') if last.startswith('"') else last)
        if kind not in ("space", "comment"):
            after_cast = text == ":" or (after_cast and kind in ("word", "quoted"))
            last = text if kind == "quoted" or (kind == "word" and text == text.lower()) else ""
    return found


def parameters(expression: str) -> set[str]:
    """The `$n` in an expression."""
    return {text for kind, text in tokens(expression) if kind == "param"}


def normalise(sql: str) -> str:
    """The text without comments, with `?` for every literal, one space between words, and lists of one item.

    Modifiers of types behind `::` stay, and a sign in front of a number does except in lists.
    """
    pieces: list[str] = []
    for kind, text in tokens(sql):
        if kind not in ("space", "comment"):
            pieces.append("?" if kind in _LITERALS else text)
        elif pieces and pieces[-1] != " ":
            pieces.append(" ")
    if pieces and pieces[-1] == " ":
        pieces.pop()
    return _LIST.sub(_one_item, "".join(pieces))


@lru_cache(maxsize=1024)
def fingerprint(sql: str) -> str:
    """16 hex digits that all texts share which differ only in literals, comments and spaces."""
    return blake2b(normalise(sql).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def redact(expression: str) -> str:
    """A condition as EXPLAIN prints it, with `'…'` and `…` for its values and without comments. The SRID that is the last
    argument of a transformation stays, and so do the modifiers of types.
    """
    pieces: list[str] = []
    calls: list[str] = []  # what stands before each open parenthesis
    before = ""
    for kind, text in tokens(expression):
        is_srid = kind == "srid" and before == "," and bool(calls) and calls[-1] in _TAKES_SRID
        if kind in _LITERALS and not is_srid:
            pieces.append("…" if text[0] in ".0123456789" else "'…'")
        else:
            pieces.append(" " if kind == "comment" else text)
        if text == "(":
            calls.append(before)
        elif text == ")" and calls:
            calls.pop()
        if kind not in ("space", "comment"):
            before = text.lower()
    return "".join(pieces)

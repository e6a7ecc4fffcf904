"""Texts without their case and without their accents, as PostgreSQL can make them. Source: OGC 21-065r2 7.4 and 7.5.

PostgreSQL before 18 has no full case folding, and `lower` makes nothing of ß. Folding is lower(upper(lower(x))) by the rules
of ICU, save for two letters: the dotless i, which has no other case and yet becomes I, and the sigma at the end of a word.
tests/test_folding.py compares every letter of Unicode with Python's `casefold`.
"""

from geosvc.sql.compose import SQL, Composable

# U+10FFFF, which is no character and never will be, stands for the dotless i meanwhile
_CASE = SQL(
    "(translate(lower(upper(lower(translate({}, '\u0131', '\U0010ffff') COLLATE \"und-x-icu\"))),"
    " '\u03c2\U0010ffff', '\u03c3\u0131') COLLATE \"C\")"
)
# combining marks of Latin, Greek and Cyrillic; those of other scripts are vowels
_ACCENTS = SQL(
    '(normalize(regexp_replace(normalize({} COLLATE "C", NFD),'
    " '[\\u0300-\\u036f\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe20-\\ufe2f]', '', 'g'), NFC) COLLATE \"C\")"
)


def without_case(text: Composable) -> Composable:
    """A text that equals that of every other text that differs only in case."""
    return _CASE.format(text)


def without_accents(text: Composable) -> Composable:
    """A text that equals that of every other text that differs only in accents."""
    return _ACCENTS.format(text)

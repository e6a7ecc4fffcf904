"""Texts without case and without accents. Source: OGC 21-065r2 7.4 and 7.5.

PostgreSQL before 18 has no full case folding, and `lower` leaves ß as it is. So a text is folded as
lower(upper(lower(x))) by the rules of ICU. Two letters need more: the dotless i, which `upper`
makes an I, and the sigma at the end of a word. tests/test_folding.py compares every letter of
Unicode with Python's `casefold`.
"""

from geosvc.sql.compose import SQL, Composable

# U+10FFFF is not a character and never will be: it replaces the dotless i while case is folded.
_CASE = SQL(
    "(translate(lower(upper(lower(translate({}, '\u0131', '\U0010ffff') COLLATE \"und-x-icu\"))),"
    " '\u03c2\U0010ffff', '\u03c3\u0131') COLLATE \"C\")"
)
# The combining marks of Latin, Greek and Cyrillic. In other scripts combining marks are vowels.
_ACCENTS = SQL(
    '(normalize(regexp_replace(normalize({} COLLATE "C", NFD),'
    " '[\\u0300-\\u036f\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe20-\\ufe2f]', '', 'g'),"
    ' NFC) COLLATE "C")'
)


def without_case(text: Composable) -> Composable:
    """Fold case: texts that differ only in case become equal."""
    return _CASE.format(text)


def without_accents(text: Composable) -> Composable:
    """Remove accents: texts that differ only in accents become equal."""
    return _ACCENTS.format(text)

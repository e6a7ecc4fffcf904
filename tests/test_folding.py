"""How texts lose their case and their accents in SQL, beside Python's own tables of Unicode: for
every character.
"""

import asyncio
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import product

import asyncpg
import pytest

from geosvc.cql2.tree import Folded, Text
from geosvc.query.cql2.case_folding import without_accents, without_case
from geosvc.sql.compose import SQL, Composable, Param, compose
from tests.cql2_oracle import value_of

Fold = Callable[[Composable], Composable]
ASSIGNED = [
    chr(code) for code in range(1, 0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")
]
WORDS = ["straße", "STRASSE", "İstanbul", "ISTANBUL", "ıslak", "ΌΣΟΣ", "όσος", "ŉ", "ǰ",
         "ﬁn", "ﬃ", "Ǆ", "ǅ", "ᾳ", "ᾼ", "ΐ",
         "\U00010400", "\U00010428", "\uab70", "\u13a0"]  # fmt: skip


def folded(url: str, fold: Fold, texts: Sequence[str]) -> list[str]:
    """Every text without its case or accents, as PostgreSQL makes it."""
    part = SQL("SELECT {} FROM unnest({}) WITH ORDINALITY AS t(x, place) ORDER BY place")
    statement = compose("fold", part.format(fold(SQL("t.x")), Param(list(texts), "text[]")))

    async def run() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            return [row[0] for row in await connection.fetch(statement.text, *statement.args)]
        finally:
            await connection.close()

    return asyncio.run(run())


def classes(texts: Sequence[str], keys: Sequence[str]) -> set[frozenset[str]]:
    """The texts that have the same key."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for text, key in zip(texts, keys, strict=True):
        found[key].add(text)
    return set(map(frozenset, found.values()))


def known(texts: Sequence[str]) -> set[frozenset[str]]:
    return classes(texts, [text.casefold() for text in texts])


def test_letters_are_alike_without_their_case_where_unicode_says_so(bare_module_url: str) -> None:
    ours, theirs = (
        classes(ASSIGNED, folded(bare_module_url, without_case, ASSIGNED)),
        known(ASSIGNED),
    )
    differ = sorted("".join(sorted(each)) for each in ours ^ theirs)
    assert not differ, (len(differ), differ[:20])


def test_a_letter_and_what_it_folds_to_are_alike(bare_module_url: str) -> None:
    ours = folded(bare_module_url, without_case, ASSIGNED)
    again = folded(bare_module_url, without_case, [each.casefold() for each in ASSIGNED])
    differ = [each for each, one, other in zip(ASSIGNED, ours, again, strict=True) if one != other]
    assert not differ, (len(differ), differ[:20])


@pytest.mark.parametrize("fold", [without_case, without_accents])
def test_what_is_folded_stays_as_it_is(bare_module_url: str, fold: Fold) -> None:
    once = folded(bare_module_url, fold, ASSIGNED)
    assert [
        (each, one, two)
        for each, one, two in zip(ASSIGNED, once, folded(bare_module_url, fold, once), strict=True)
        if one != two
    ] == []


def test_words_are_alike_without_their_case_where_unicode_says_so(bare_module_url: str) -> None:
    words = sorted(
        {
            each
            for word in WORDS
            for each in (word, word.upper(), word.lower(), word.title(), word.casefold())
        }
    )
    assert classes(words, folded(bare_module_url, without_case, words)) == known(words)


def test_latin_greek_and_cyrillic_letters_lose_their_accents_and_no_others_theirs(
    bare_module_url: str,
) -> None:
    expected = [str(value_of(Folded("accenti", Text(each)), {})) for each in ASSIGNED]
    ours = folded(bare_module_url, without_accents, ASSIGNED)
    differ = [
        (each, one, other)
        for each, one, other in zip(ASSIGNED, ours, expected, strict=True)
        if one != other
    ]
    assert not differ, (len(differ), differ[:20])
    letters = dict(zip(ASSIGNED, ours, strict=True))
    for text, bare in zip("éÅñçŠżőΆώйЁї", "eAncSzoΑωиЕі", strict=True):
        assert letters[text] == bare
    for text in "हिกำעִברת":
        assert letters[text] == unicodedata.normalize("NFC", text)  # vowels, and no accents


def test_case_and_accents_can_be_lost_in_either_order(bare_module_url: str) -> None:
    # the iota below a Greek vowel is an accent, and yet a letter in the other case
    latin = [
        each
        for each in ASSIGNED
        if ord(each) < 0x2000 and "\u0345" not in unicodedata.normalize("NFD", each)
    ]
    one = folded(bare_module_url, lambda text: without_case(without_accents(text)), latin)
    other = folded(bare_module_url, lambda text: without_accents(without_case(text)), latin)
    differ = [(a, b, c) for a, b, c in zip(latin, one, other, strict=True) if b != c]
    assert not differ, (len(differ), differ[:40])


def test_composed_and_decomposed_letters_are_alike_without_accents(bare_module_url: str) -> None:
    letters = list(product("aeiouyAEIΑωи", "\u0301\u0308"))
    apart = folded(bare_module_url, without_accents, [letter + mark for letter, mark in letters])
    assert apart == folded(
        bare_module_url, without_accents, [unicodedata.normalize("NFC", a + b) for a, b in letters]
    )
    assert apart == [letter for letter, _ in letters]

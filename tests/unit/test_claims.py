"""The claims of docs/claims.md: the tables, their places in the page, and that none is missing."""

import re
from pathlib import Path

import pytest

from benchmarks.claims.__main__ import MACHINE
from benchmarks.claims.catalogue import CLAIMS, Claim
from benchmarks.claims.machine import write_machine
from benchmarks.claims.tables import (
    NoSuchBlock,
    block_names,
    replace_block,
    write_number,
    write_spread,
    write_table,
)
from benchmarks.claims.turns import Table, take_turns

PAGE = (Path(__file__).parents[2] / "docs/claims.md").read_text("utf-8")
PARTS = ("**Said.**", "**Measured.**", "**Why.**", "**In geosvc.**")


def block(name: str, text: str) -> str:
    return f"<!-- measured: {name} -->\n\n{text}\n\n<!-- end of measured -->"


def test_contenders_take_turns_and_their_first_run_does_not_count() -> None:
    called: list[str] = []

    def measure(name: str) -> dict[str, float]:
        called.append(name)
        return {"run": len(called)}

    samples = take_turns({"a": lambda: measure("a"), "b": lambda: measure("b")}, 2)
    assert called == ["a", "b"] * 3
    assert samples == {"a": [{"run": 3}, {"run": 5}], "b": [{"run": 4}, {"run": 6}]}


@pytest.mark.parametrize(
    ("value", "text"),
    [(12_345.6, "12,346"), (100, "100"), (99.94, "99.9"), (0.01234, "0.0123"), (0, "0")],
)
def test_a_number_has_three_digits_or_all_before_the_point(value: float, text: str) -> None:
    assert write_number(value) == text


def test_a_spread_is_the_median_with_the_least_and_the_most() -> None:
    assert write_spread([3, 1, 2]) == "2 (1 to 3)"


def test_a_spread_that_is_too_small_to_be_seen_is_left_out() -> None:
    assert write_spread([1_000.1, 1_000.2, 1_000.3]) == "1,000"


def test_a_table_compares_the_medians_of_the_first_column_with_those_of_the_first_row() -> None:
    table = Table(
        "work",
        {
            "plain": [{"rows/s": 100, "MB": 7}, {"rows/s": 300, "MB": 7}, {"rows/s": 200, "MB": 7}],
            "better": [{"rows/s": 500, "MB": 9}],
            "worse": [{"rows/s": 5, "MB": 9}],
        },
    )
    assert write_table(table).splitlines() == [
        "| work | rows/s | MB | ratio |",
        "|---|---|---|---|",
        "| plain | 200 (100 to 300) | 7 | 1.00 |",
        "| better | 500 | 9 | 2.50 |",
        "| worse | 5 | 9 | 0.025 |",
    ]


def test_only_the_named_block_of_a_page_is_replaced() -> None:
    page = f"before\n{block('one', 'old')}\nbetween\n{block('two', 'old')}\nafter\n"
    assert replace_block(page, "two", "new") == page.replace(
        block("two", "old"), block("two", "new")
    )


def test_a_block_may_be_empty_at_first_and_be_replaced_again() -> None:
    page = "<!-- measured: one -->\n<!-- end of measured -->"
    once = replace_block(page, "one", r"a \1 b")
    assert once == block("one", r"a \1 b")
    assert replace_block(once, "one", "c") == block("one", "c")


def test_a_block_that_a_page_does_not_have_is_reported() -> None:
    with pytest.raises(NoSuchBlock):
        replace_block(block("one", "text"), "two", "new")


def test_the_machine_is_a_list_with_narrow_lines_and_without_peers_that_are_not_there() -> None:
    text = write_machine(
        {
            "machine": {"cores": 2, "processor": "Abacus", "memory_gb": 4},
            "versions": {
                "postgresql": "15.1",
                "postgis": "3.3",
                "python": "3.11.7",
                "flask": "3.1",
            },
        }
    )
    assert "- 2 cores of Abacus, 4 GB, shared by" in text
    assert text.endswith("- the peers: flask 3.1")
    assert all(len(line) <= 100 for line in text.splitlines())


def test_each_claim_has_a_section_with_a_block_and_the_page_has_no_others() -> None:
    sections = re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    found = [(title, block_names(text)) for title, text in sections]
    claims = [(claim.title, [claim.name]) for claim in CLAIMS]
    assert found == [("How it is measured", [MACHINE]), *claims]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_section_says_what_is_said_measured_why_and_what_follows(claim: Claim) -> None:
    _, _, rest = PAGE.partition(f"## {claim.title}\n")
    section, _, _ = rest.partition("\n## ")
    places = [section.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)
    said = section[: places[1]]
    assert re.search(r"\]\(https?://", said), "a source"
    assert "| ratio |" in section, "it was measured"

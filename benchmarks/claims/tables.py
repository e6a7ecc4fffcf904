"""Measured tables as Markdown, and a page in which they are replaced."""

import re
from collections.abc import Sequence
from statistics import median

from benchmarks.claims.turns import Sample, Table

_BLOCK = re.compile(r"<!-- measured: ([\w-]+) -->\n.*?<!-- end of measured -->", re.DOTALL)


class NoSuchBlock(LookupError):
    """A page has no place for a table."""


def write_number(value: float) -> str:
    """A number with three digits that count, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_spread(values: Sequence[float]) -> str:
    """The median, and the least and the most where they differ from it."""
    middle, least, most = (
        write_number(each) for each in (median(values), min(values), max(values))
    )
    return middle if least == most else f"{middle} ({least} to {most})"


def write_table(table: Table) -> str:
    """A Markdown table with a row for each contender; the last column is the ratio."""
    first, *_ = table.samples.values()
    columns = list(first[0])
    compared = columns[0]
    rows = [
        f"| {' | '.join((table.caption, *columns, 'ratio'))} |",
        f"|{'---|' * (len(columns) + 2)}",
    ]
    for name, samples in table.samples.items():
        ratio = _median_of(samples, compared) / _median_of(first, compared)
        cells = [write_spread([sample[column] for sample in samples]) for column in columns]
        rows.append(f"| {' | '.join((name, *cells, _write_ratio(ratio)))} |")
    return "\n".join(rows)


def _write_ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _median_of(samples: Sequence[Sample], column: str) -> float:
    return median(sample[column] for sample in samples)


def block_names(page: str) -> list[str]:
    """The names of the blocks of a page, in order."""
    return [found[1] for found in _BLOCK.finditer(page)]


def replace_block(page: str, name: str, text: str) -> str:
    """The page with another text between the markers of a block.

    Raises: NoSuchBlock.
    """
    if name not in block_names(page):
        raise NoSuchBlock(name)

    def write(found: re.Match[str]) -> str:
        if found[1] != name:
            return found[0]
        return f"<!-- measured: {name} -->\n\n{text}\n\n<!-- end of measured -->"

    return _BLOCK.sub(write, page)

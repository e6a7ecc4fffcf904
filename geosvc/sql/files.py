"""The *.sql files of this folder, each one statement.

A file begins with a header: `-- name:`, `-- description:`, and a `-- $n:` line for each parameter.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from geosvc.sql.compose import Statement

_HEADER = re.compile(r"^-- (name|description|\$\d+): *(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _File:
    """The content of a file: the SQL is without comments, `parameters` is their number."""

    name: str
    sql: str
    parameters: int


def load_statement(file: str, args: Sequence[object] = ()) -> Statement:
    """The statement in `<file>.sql` with its arguments.

    Raises: ValueError when the file declares another number of parameters.
    """
    content = _read(file)
    if len(args) != content.parameters:
        raise ValueError(f"{file}.sql takes {content.parameters} arguments, not {len(args)}")
    return Statement(content.name, content.sql, tuple(args))


@cache
def _read(file: str) -> _File:
    text = files("geosvc.sql").joinpath(f"{file}.sql").read_text("utf-8")
    header = dict(_HEADER.findall(text))
    parameters = [key for key in header if key.startswith("$")]
    return _File(header["name"], _without_comments(text), len(parameters))


def _without_comments(text: str) -> str:
    """The SQL without the lines that are comments."""
    lines = []
    for line in text.splitlines():
        if not line.lstrip().startswith("--"):
            lines.append(line)
    return "\n".join(lines).strip()

"""The *.sql files of this folder: each begins with `-- name:`, `-- description:` and a `-- $n:` line for each parameter."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from geosvc.sql.compose import Statement

_HEADER = re.compile(r"^-- (name|description|\$\d+): *(.+)$", re.MULTILINE)


@cache
def _read(file: str) -> tuple[str, str, int]:
    text = files("geosvc.sql").joinpath(f"{file}.sql").read_text("utf-8")
    header = dict(_HEADER.findall(text))
    body = "\n".join(
        line for line in text.splitlines() if not line.lstrip().startswith("--")
    ).strip()
    return header["name"], body, sum(key.startswith("$") for key in header)


def load_statement(file: str, args: Sequence[object] = ()) -> Statement:
    """The statement in `<file>.sql` with its arguments.

    Raises: ValueError when the number of arguments is not the one that the file declares.
    """
    name, text, parameters = _read(file)
    if len(args) != parameters:
        raise ValueError(f"{file}.sql takes {parameters} arguments, not {len(args)}")
    return Statement(name, text, tuple(args))

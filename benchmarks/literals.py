"""Statements for programs that know no parameters."""

import re
from collections.abc import Mapping

from geosvc.sql.compose import Statement

_PARAMETER = re.compile(r"\$(\d+)")


def quote_literal(value: object) -> str:
    """A value as an SQL literal of unknown type, which the cast behind every parameter types."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    if isinstance(value, list):
        elements = ",".join(
            '"' + str(each).replace("\\", "\\\\").replace('"', '\\"') + '"' for each in value
        )
        return quote_literal("{" + elements + "}")
    return "'" + str(value).replace("'", "''") + "'"


def inline(statement: Statement) -> str:
    """The statement with its values in its text."""
    return _PARAMETER.sub(
        lambda found: quote_literal(statement.args[int(found[1]) - 1]), statement.text
    )


def pgbench_script(statement: Statement, random: Mapping[int, str] | None = None) -> str:
    r"""The statement for pgbench, which sends its numbers as parameters too; all else is inlined.

    Args:
        random: by the number of a parameter, what `\set` computes instead of the value, such as
            `random(1, 10)`.
    """
    chosen = {number: f"{expression}" for number, expression in (random or {}).items()}
    for number, value in enumerate(statement.args, 1):
        if number not in chosen and isinstance(value, int | float) and not isinstance(value, bool):
            chosen[number] = repr(value)

    def place(found: re.Match[str]) -> str:
        number = int(found[1])
        return f":p{number}" if number in chosen else quote_literal(statement.args[number - 1])

    # a colon before a letter would be a variable of pgbench: the casts are safe, since it skips
    # double colons
    lines = [f"\\set p{number} {expression}" for number, expression in chosen.items()]
    return "\n".join([*lines, _PARAMETER.sub(place, statement.text) + ";"]) + "\n"

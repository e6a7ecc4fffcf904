"""Numbers in requests: ASCII digits only, where Python's float() takes underscores and the digits of every script."""

import re

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


def parse_number(text: str) -> float:
    """A number as JSON or a person writes it; beyond a double's range it is infinite. Raises: ValueError."""
    if not _NUMBER.fullmatch(text.strip(" ")):
        raise ValueError("a number")
    return float(text)

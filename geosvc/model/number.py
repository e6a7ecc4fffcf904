"""Numbers in requests.

Only ASCII digits are accepted. Python's float() accepts underscores and the digits of all scripts.
"""

import re

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


def parse_number(text: str) -> float:
    """A decimal number, with an exponent if needed; infinite if it exceeds a 64-bit float.

    Raises: ValueError.
    """
    if not _NUMBER.fullmatch(text.strip(" ")):
        raise ValueError("a number")
    return float(text)

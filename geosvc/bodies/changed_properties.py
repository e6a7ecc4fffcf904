"""Which posted properties a client has changed since it read them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from geosvc.bodies.rounded import decode_numbers, keep_digits, same_as_read


@dataclass(slots=True)
class ChangedProperties:
    """What a comparison of posted and stored properties has found.

    Attributes:
        unchanged: the names of those that are the same.
        corrected: by name, the JSON of values that have changed in part: numbers in them that a
            client has rounded, and not changed, have their stored digits.
    """

    unchanged: set[str] = field(default_factory=set)
    corrected: dict[str, bytes] = field(default_factory=dict)


def compare_properties(
    names: Iterable[str],
    posted: Mapping[str, bytes],
    stored: Mapping[str, bytes],
    patches: Collection[str],
) -> ChangedProperties:
    """Compares those properties that are posted and stored.

    Args:
        names: of the properties that are to be written.
        posted, stored: JSON by name.
        patches: the names of the posted values that are merge patches of the stored ones.
    """
    found = ChangedProperties()
    for name in names:
        if name not in posted or name not in stored:
            continue
        text = _with_stored_digits(posted[name], stored[name])
        if text is None:
            # null in a patch removes a member, also where the stored member is null
            if name not in patches or not _removes(decode_numbers(posted[name])):
                found.unchanged.add(name)
        elif text != posted[name]:
            found.corrected[name] = text
    return found


def _with_stored_digits(posted: bytes, stored: bytes) -> bytes | None:
    """A posted JSON text with the stored digits of unchanged numbers; None where it is the same."""
    try:
        posted_value, stored_value = decode_numbers(posted), decode_numbers(stored)
        if same_as_read(posted_value, stored_value):
            return None
        return keep_digits(posted, posted_value, stored_value)
    except (ValueError, RecursionError):  # half a character, nested too deep: nothing is the same
        return posted


def _removes(patch: Any) -> bool:
    """Whether a merge patch removes a member. Source: RFC 7396 2."""
    if not isinstance(patch, dict):
        return False
    return any(value is None or _removes(value) for value in patch.values())

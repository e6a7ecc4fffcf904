"""The members of a JSON object as JSON texts, so that no digit is lost."""

from collections.abc import Mapping
from typing import Any

import msgspec

from geosvc.bodies.unchanged import decode_exactly

_raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def member_tree(text: bytes) -> dict[str, Any]:
    """The members of an object: objects as dictionaries, other values as JSON texts."""
    members: dict[str, Any] = {}
    for name, raw in _raw_members.decode(text).items():
        member = bytes(raw).strip()
        members[name] = member_tree(member) if member.startswith(b"{") else member
    return members


def member_texts(text: bytes) -> dict[str, bytes]:
    """The JSON text of each member; empty for an object that cannot be decoded."""
    try:
        raws = _raw_members.decode(text)
    except (msgspec.DecodeError, RecursionError):  # half a character
        return {}
    return {name: bytes(raw).strip() for name, raw in raws.items()}


def member_values(text: bytes) -> dict[str, Any]:
    """The members with all digits of numbers; empty for an object that cannot be decoded."""
    try:
        values = decode_exactly(text)
    except (ValueError, ArithmeticError, RecursionError):  # half a character, a number too large
        return {}
    if not isinstance(values, dict):
        return {}
    return values


def encode_members(texts: Mapping[str, bytes]) -> bytes:
    """The object with these members."""
    members: list[bytes] = []
    for name, text in texts.items():
        key = msgspec.json.encode(name)
        members.append(key + b":" + text)
    return b"{" + b",".join(members) + b"}"

"""What a request is answered with, before it is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """A response in one piece, which can be kept and given again."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

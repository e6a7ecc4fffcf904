"""An answer to a request, before it is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response, which can be stored and sent again."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

"""The root of all events, and of those that are measurements."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Event:
    """The root of all events."""

    level: ClassVar[Level] = "info"

    @classmethod
    def name(cls) -> str:
        """The event's name in logs: its class name in snake case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


@dataclass(frozen=True, slots=True)
class Measurement(Event):
    """The root of events that are frequent: they are counted, and have no line in the log each."""

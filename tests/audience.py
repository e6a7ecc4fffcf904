"""An audience of the change reader that keeps what it hears."""

from collections.abc import Collection
from dataclasses import dataclass, field

from geosvc.model.snapshot import Snapshot


@dataclass
class Listeners:
    """Has subscribers, and keeps the ids of the publications that changed."""

    publications: list[int] = field(default_factory=list)

    def has_subscribers(self) -> bool:
        """As if somebody waited."""
        return True

    def wake(self, publications: Collection[int], since: Snapshot | None) -> None:
        """Keeps which tables have changed."""
        self.publications.extend(publications)

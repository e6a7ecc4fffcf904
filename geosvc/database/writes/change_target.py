"""The feature that a request changes, and under which conditions."""

from dataclasses import dataclass

from geosvc.model.collection import Collection
from geosvc.model.crs import Crs
from geosvc.requests.preconditions import Preconditions


@dataclass(frozen=True, slots=True)
class ChangeTarget:
    """A feature that a request changes.

    Attributes:
        key: its key values.
        feature_id: as it is in the URL.
        crs: of the coordinates in the body.
        precision: decimal digits with which the client read the coordinates; None if it did not
            say so.
        representation: the CRS of the feature in the response; None if the response has none.
    """

    collection: Collection
    key: tuple[str, ...]
    feature_id: str
    preconditions: Preconditions
    crs: Crs
    precision: int | None
    representation: Crs | None

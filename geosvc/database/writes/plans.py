"""Statements and readers of writes, cached because making one costs more than using it."""

from geosvc.bodies.feature_reader import FeatureReader
from geosvc.bodies.geometries import GeometryRules
from geosvc.bodies.properties import Mode
from geosvc.database.writes.writer import Writer
from geosvc.model.collection import Collection
from geosvc.model.crs import Crs
from geosvc.query.inserts import OnConflict, plan_insert
from geosvc.query.posted_rows import PostedColumns, WritePlan
from geosvc.query.returning import Returning
from geosvc.requests.items import GeometryStyle, ItemsQuery

MAX_PLANS = 512


def whole_feature(crs: Crs) -> ItemsQuery:
    """A query that selects one feature with all of its parts."""
    return ItemsQuery(limit=1, geometry=GeometryStyle(crs=crs))


class Plans:
    """INSERT statements by the columns that they set."""

    def __init__(self) -> None:
        self._plans: dict[tuple[object, ...], tuple[Collection, WritePlan]] = {}

    def insert(
        self,
        collection: Collection,
        source: PostedColumns,
        returning: Returning,
        on_conflict: OnConflict,
    ) -> WritePlan:
        """Return the statement that inserts these columns."""
        names = tuple(column.name for column in source.columns)
        # the entry holds the collection, so that no other object gets its id() meanwhile
        key = (id(collection), names, source.keyed, source.crs, returning, on_conflict)
        entry = self._plans.get(key)
        if entry is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            query = whole_feature(source.crs)
            entry = collection, plan_insert(collection, source, query, returning, on_conflict)
            self._plans[key] = entry
        return entry[1]


class Writes:
    """What a write needs: the writer, the cached statements and the cached readers.

    Making a reader compiles a decoder for the columns of its collection.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.plans = Plans()
        self._readers: dict[tuple[object, ...], tuple[Collection, FeatureReader]] = {}

    def reader(
        self,
        collection: Collection,
        mode: Mode,
        rules: GeometryRules,
        *,
        lenient: bool,
        keyed: bool,
    ) -> FeatureReader:
        """Return the reader of the features that clients send to a collection."""
        key = (id(collection), mode, rules.crs, rules.repair, lenient, keyed)
        entry = self._readers.get(key)
        if entry is None:
            if len(self._readers) >= MAX_PLANS:
                self._readers.clear()
            reader = FeatureReader(collection, mode, rules, lenient=lenient, keyed=keyed)
            entry = collection, reader
            self._readers[key] = entry
        return entry[1]

"""The statements that read features.

A feature is written by PostgreSQL as one text (docs/decisions/0002): Python joins and sends. Beside it come the sort
values, for the cursor of the next page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from geosvc.model.collection import Collection
from geosvc.model.media_type import GEOJSON, MediaType
from geosvc.query.filters import cast_text, conditions, where
from geosvc.query.geometry import Bare, Care, column_value, in_crs
from geosvc.query.nearest import Candidates, select_nearest
from geosvc.query.paging import after, order_by, order_of
from geosvc.query.spatial import is_nearest
from geosvc.query.versions import modified_of, version_of
from geosvc.query.writing import write_feature, write_geometry
from geosvc.requests.items import ItemsRequest
from geosvc.sql.compose import REQUEST_TAG, SQL, Composable, Identifier, Param, Statement, compose


@dataclass(frozen=True, slots=True)
class Page:
    """A statement that reads features, and what it was made from.

    Attributes:
        statement: rows of (a feature in UTF-8, then the sort values as text, then the values of `extra`).
        header: the names of a line's cells, for CSV.
    """

    collection: Collection
    request: ItemsRequest
    media_type: MediaType
    statement: Statement
    header: tuple[str, ...]
    extra: tuple[Composable, ...] = ()


def _source(collection: Collection, request: ItemsRequest) -> Composable:
    relation = Identifier(collection.schema, collection.name)
    if collection.parameters is None:
        return relation
    types = {parameter.name: parameter for parameter in collection.parameters}
    arguments = (SQL("{} => {}").format(Identifier(name), cast_text(types[name], text)) for name, text in request.arguments)
    return SQL("{}({})").format(relation, SQL(", ").join(arguments))


def _select(
    collection: Collection,
    request: ItemsRequest,
    columns: tuple[Sequence[Composable], Sequence[Composable]],
    rows: int | None,
    care: Care,
) -> Composable:
    """The features of a page, in order: the first columns, the sort values, the last columns."""
    keys = order_of(collection, request)
    tests = list(conditions(collection, request, care))
    offset = request.offset
    if request.cursor is not None:
        offset = request.cursor.offset
        if request.cursor.after:
            tests.append(after(keys, request.cursor.after))
    source, wanted = (
        _source(collection, request),
        [*columns[0], *(SQL("{}::text").format(key.expression) for key in keys), *columns[1]],
    )
    if request.spatial is not None and is_nearest(request.spatial):
        candidates = Candidates(source, tuple(tests))
        part = select_nearest(collection, request.spatial, wanted, candidates, care)
    else:
        part = SQL("SELECT {} FROM {} t{}{}").format(
            SQL(", ").join(wanted), source, where([REQUEST_TAG, *tests]), order_by(keys)
        )
    if rows is not None:
        part = SQL("{} LIMIT {}").format(part, Param(rows, "int8"))
    return SQL("{} OFFSET {}").format(part, Param(offset, "int8")) if offset else part


def select_items(
    collection: Collection, request: ItemsRequest, media_type: MediaType, extra: tuple[Composable, ...] = ()
) -> Page:
    """The features of a page, and one more to know whether there is a next page; all of them without a limit.

    Args:
        extra: what each row ends with besides.
    """
    written = write_feature(collection, request, media_type)
    rows = None if request.limit is None else request.limit + 1
    name = "items.export" if request.limit is None else "items.page"
    statement = compose(name, _select(collection, request, ([written.feature], extra), rows, Care.EXACTLY))
    return Page(collection, request, media_type, statement, written.header, extra)


def select_stored(page: Page, rows: int) -> Statement:
    """The same features, at most `rows`, with the geometry as it is stored: (text before it, EWKB or NULL, text behind
    it, sort values). It calls nothing of PostGIS that a stored geometry can make fail.
    """
    written = write_feature(page.collection, page.request, page.media_type, Care.CAUTIOUSLY)
    stored = SQL("ST_AsEWKB({})").format(column_value(page.collection.geometry))
    columns = ([written.head, stored, written.tail], page.extra)
    return compose("items.stored", _select(page.collection, page.request, columns, rows, Care.CAUTIOUSLY))


def write_stored(page: Page, stored: Sequence[bytes | None]) -> Statement:
    """(text) of each of these geometries, in order, written as those of the page."""
    # bytea to geometry checks what geometry_in stores unchecked
    value = SQL("encode(stored.ewkb, 'hex')::geometry")
    text = write_geometry(
        replace(page.collection.geometry, geography=False), page.request.geometry, page.media_type, Bare(SQL("s.g").format())
    )
    part = SQL(
        "SELECT {text} FROM unnest({stored}) WITH ORDINALITY AS stored(ewkb, place),"
        " LATERAL (SELECT {value} AS g OFFSET 0) s ORDER BY stored.place"
    ).format(text=text, value=value, stored=Param(list(stored), "bytea[]"))
    return compose("items.write_stored", part)


def transform_stored(page: Page, ewkb: bytes) -> Statement:
    """(EWKB) of a geometry in the CRS of the page, which is all that is asked of PostGIS."""
    geometry = replace(page.collection.geometry, geography=False)
    value = in_crs(geometry, Bare(SQL("s.g").format()), page.request.geometry.crs.srid)
    part = SQL("SELECT ST_AsEWKB({}) FROM (SELECT encode({}, 'hex')::geometry AS g OFFSET 0) s").format(
        value, Param(ewkb, "bytea")
    )
    return compose("items.transform_stored", part)


def select_item(collection: Collection, request: ItemsRequest, key: Sequence[str]) -> Page:
    """The feature with these key values; its row ends with its version and when it was modified."""
    wanted = replace(request, limit=1, equals=tuple(zip(collection.key, key, strict=True)))
    return select_items(collection, wanted, GEOJSON, (version_of(collection), modified_of(collection)))


@dataclass(frozen=True, slots=True)
class Lookup:
    """A statement that finds features by id, planned once and run with many lists of ids.

    Attributes:
        statement: (id as text, feature in UTF-8, version, when modified) a row.
        place: of the list of ids among its arguments.
    """

    statement: Statement
    place: int

    def of(self, ids: Sequence[str]) -> Statement:
        """The statement for these ids."""
        args = self.statement.args
        return replace(self.statement, args=(*args[: self.place], list(ids), *args[self.place + 1 :]))


def plan_lookup(collection: Collection, request: ItemsRequest) -> Lookup:
    """How features are found by id; for keys of one column."""
    column = collection.key_columns[0]
    ids = Param([], "text[]")
    part = SQL(
        "SELECT t.{name}::text, {feature}, {version}, {modified} FROM {source} t"
        " WHERE {tag} AND t.{name} = ANY ({ids}::{type}[])"
    ).format(
        tag=REQUEST_TAG,
        version=version_of(collection),
        modified=modified_of(collection),
        name=Identifier(column.name),
        feature=write_feature(collection, request, GEOJSON).feature,
        source=_source(collection, request),
        ids=ids,
        type=Identifier(column.type_schema, column.type_name),
    )
    statement = compose("items.by_id", part)
    return Lookup(statement, next(place for place, value in enumerate(statement.args) if value is ids.value))


def select_matching(
    collection: Collection, request: ItemsRequest, at_most: int | None = None, care: Care = Care.EXACTLY
) -> Statement:
    """One number: how many features match, whatever the page; counting stops after `at_most`."""
    tests = [REQUEST_TAG, *conditions(collection, request, care)]
    rows = SQL("SELECT 1 FROM {} t{}").format(_source(collection, request), where(tests))
    if at_most is not None:
        rows = SQL("{} LIMIT {}").format(rows, Param(at_most, "int8"))
    return compose("items.count", SQL("SELECT count(*) FROM ({}) counted").format(rows))


def explain_matching(collection: Collection, request: ItemsRequest) -> Statement:
    """The planner's estimate of how many features match, as EXPLAIN (FORMAT JSON) prints it."""
    part = SQL("EXPLAIN (FORMAT JSON) SELECT 1 FROM {} t{}").format(
        _source(collection, request), where(list(conditions(collection, request, Care.ROUGHLY)))
    )
    return compose("items.estimate", part)

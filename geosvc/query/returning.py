"""What a statement that changes features returns."""

from enum import Enum

from geosvc.model.collection import Collection
from geosvc.query.geojson_projection import GEOJSON_PROJECTION
from geosvc.query.id_member import feature_id
from geosvc.query.projection import write_feature
from geosvc.query.versions import modified_of, version_of
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import SQL, Composable


class Returning(Enum):
    """What a statement returns of the features that it changed."""

    VALIDATORS = "id, version, when modified, NULL"
    FEATURES = "id, version, when modified, the feature in UTF-8"
    IDS = "id, whether it is new"
    COUNTS = "one row: how many features, how many new"


def returned_columns(
    collection: Collection,
    query: ItemsQuery,
    returning: Returning,
    is_new: Composable,
) -> Composable:
    """Write the columns of RETURNING.

    Args:
        query: how a feature is written.
        is_new: an expression for whether the statement inserted the row.
    """
    if returning is Returning.COUNTS:
        return is_new
    identity: Composable = SQL("NULL::text")
    if collection.key:
        identity = feature_id(collection)
    if returning is Returning.IDS:
        return SQL("{} AS id, {} AS made").format(identity, is_new)
    feature: Composable = SQL("NULL::bytea")
    if returning is Returning.FEATURES:
        feature = write_feature(collection, query, GEOJSON_PROJECTION, raising=False).feature
    return SQL("{} AS id, {} AS version, {} AS modified, {} AS feature").format(
        identity, version_of(collection), modified_of(collection), feature
    )

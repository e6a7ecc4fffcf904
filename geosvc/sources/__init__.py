"""Files of features, as batches that the database takes as they are, and the table for them."""

from geosvc.sources.batch import FeatureBatch, Source
from geosvc.sources.opening import open_source
from geosvc.sources.schema import SourceColumn, SourceSchema, merge_schemas
from geosvc.sources.source_error import SourceError

__all__ = [
    "FeatureBatch",
    "Source",
    "SourceColumn",
    "SourceError",
    "SourceSchema",
    "merge_schemas",
    "open_source",
]

"""Files of features, as batches that the database takes as they are; and the table that they fit into."""

from geosvc.sources.batch import FeatureBatch, Source
from geosvc.sources.errors import SourceError
from geosvc.sources.open import open_source
from geosvc.sources.schema import SourceColumn, SourceSchema, merge_schemas

__all__ = ["FeatureBatch", "Source", "SourceColumn", "SourceError", "SourceSchema", "merge_schemas", "open_source"]

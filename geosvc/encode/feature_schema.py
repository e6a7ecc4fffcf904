"""The JSON Schema of a feature as GeoJSON has it, for clients that make columns of it.

GDAL reads what the link `describedby` names. Without it it takes the types of the first 20 features for those of all: fractions
behind whole numbers are cut off, and what is larger than 32 bits becomes 2147483647. It knows whole numbers of 32 bits only, so
that longer ones are told as numbers without a fraction, which it takes for doubles. Source: ogroapifdriver.cpp, GetSchema.
"""

from geosvc.encode.json_schema import Json, column_schema
from geosvc.encode.schemas import DIALECT, describe_comment
from geosvc.model.collection import Collection, Column

_JSON_TYPES = ("json", "jsonb")
_SHORT_TYPES = ("int2", "int4")


def _number(schema: Json, type_name: str) -> Json:
    if schema["type"] != "integer" or type_name in _SHORT_TYPES:
        return schema
    return {**{name: value for name, value in schema.items() if name != "format"}, "type": "number", "multipleOf": 1}


def _value_schema(column: Column) -> Json | None:
    """None where the features themselves tell GDAL more: that some arrays of numbers are of more than one dimension, and what
    is in them is larger than 32 bits.
    """
    if column.type_name in _JSON_TYPES:
        return {}
    schema = column_schema(column)
    if schema["type"] == "array" and schema["items"]["type"] != "string":
        return None
    return _number(schema, column.type_name)


def describe_feature(url: str, collection: Collection) -> Json:
    """Every property but `id`, which GDAL would have twice, and what it can only learn from the features.

    NULL is no value, so that the schema does not tell of it.
    """
    properties = {
        column.name: {**describe_comment(column.name, column.description), **schema}
        for column in collection.columns
        if column.name != "id" and (schema := _value_schema(column)) is not None
    }
    return {
        "$schema": DIALECT,
        "$id": url,
        "title": f"A feature of {collection.title}",
        "type": "object",
        "required": ["type", "geometry", "properties"],
        "properties": {
            "type": {"type": "string", "enum": ["Feature"]},
            "id": {"type": ["integer", "string"]},
            "geometry": {"type": ["object", "null"]},
            "properties": {"type": "object", "properties": properties},
        },
    }

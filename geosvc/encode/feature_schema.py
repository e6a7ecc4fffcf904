"""The JSON Schema of a GeoJSON feature, for clients that make columns of its properties.

GDAL reads the document of the link `describedby`. Without it, GDAL takes the types of the first 20
features for those of all: it truncates fractions after whole numbers, and numbers beyond 32 bits
become 2147483647. It knows integers of 32 bits only, so longer ones are described as numbers
without a fraction, which it reads as doubles. Source: ogroapifdriver.cpp, GetSchema.
"""

from geosvc.encode.collection_schema import DIALECT, describe_comment
from geosvc.encode.json_schema import Json, column_schema
from geosvc.model.collection import Collection, Column

_JSON_TYPES = ("json", "jsonb")
_SHORT_TYPES = ("int2", "int4")


def _number(schema: Json, type_name: str) -> Json:
    if schema["type"] != "integer" or type_name in _SHORT_TYPES:
        return schema
    number = {**schema, "type": "number", "multipleOf": 1}
    number.pop("format", None)
    return number


def _value_schema(column: Column) -> Json | None:
    """The schema of a property; None when GDAL learns more from the features.

    This is so for arrays of numbers, which may have several dimensions and numbers beyond 32 bits.
    """
    if column.type_name in _JSON_TYPES:
        return {}
    schema = column_schema(column)
    if schema["type"] == "array" and schema["items"]["type"] != "string":
        return None
    return _number(schema, column.type_name)


def describe_feature(url: str, collection: Collection) -> Json:
    """The schema of a feature.

    It has no property `id`, which GDAL would have twice, and none that GDAL must learn from the
    features. The schema does not describe NULL, which is not a value.
    """
    properties: Json = {}
    for column in collection.columns:
        schema = _value_schema(column)
        if column.name != "id" and schema is not None:
            comment = describe_comment(column.name, column.description)
            properties[column.name] = {**comment, **schema}
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

"""The id of a feature in a URL: one value for each column of the key."""

from uuid import UUID

from geosvc.errors import InvalidFeature, InvalidParameter, NotFound
from geosvc.model.collection import Collection, Column
from geosvc.requests.values import check_value


def _split(text: str) -> list[str]:
    """The values between commas; a backslash takes the next character as it is, and one at the end is no id."""
    values, current, escaped = [], "", False
    for character in text:
        if escaped or character not in ",\\":
            current, escaped = current + character, False
        elif character == "\\":
            escaped = True
        else:
            values.append(current)
            current = ""
    return [] if escaped else [*values, current]


def parse_posted_id(value: str | float, collection: Collection) -> tuple[str, ...]:
    """The key values of the member `id` of a posted feature. Raises: InvalidFeature."""
    text = value if isinstance(value, str) else str(value)
    try:
        return parse_feature_id(text, collection)
    except NotFound:
        raise InvalidFeature(f"{collection.id} cannot have a feature of this id", pointer="/id") from None


def canonical_key(key: tuple[str, ...], collection: Collection) -> tuple[str, ...]:
    """Key values in the one way in which PostgreSQL writes them: 07 is 7, and a UUID has no capitals."""
    return tuple(_canonical(text, column) for text, column in zip(key, collection.key_columns, strict=True))


def _canonical(text: str, column: Column) -> str:
    try:
        if column.type_name in ("int2", "int4", "int8"):
            return str(int(text))
        return str(UUID(text)) if column.type_name == "uuid" else text
    except ValueError:
        return text  # the database says what is wrong


def parse_feature_id(text: str, collection: Collection) -> tuple[str, ...]:
    """The key values of an id. What cannot be an id of this collection is not found, rather than a bad request.

    Raises: NotFound.
    """
    if not collection.key:
        raise NotFound(f"{collection.id} has no key, so its features have no id")
    values = _split(text) if len(collection.key) > 1 else [text]
    if len(values) != len(collection.key) or "\0" in text:
        raise NotFound(f"{collection.id} has no feature {text!r}")
    for column, value in zip(collection.key_columns, values, strict=True):
        try:
            check_value(column, value, column.name)
        except InvalidParameter:
            raise NotFound(f"{collection.id} has no feature {text!r}") from None
    return tuple(values)

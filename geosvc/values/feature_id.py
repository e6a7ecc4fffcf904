"""The id of a feature in a URL: one value for each column of the key."""

from uuid import UUID

from geosvc.errors import InvalidFeature, InvalidParameter, NotFound
from geosvc.model.collection import Collection, Column
from geosvc.model.type_names import WHOLE_NUMBERS
from geosvc.values.parsing import check_value


def parse_feature_id(text: str, collection: Collection) -> tuple[str, ...]:
    """The key values of an id.

    Raises: NotFound, also for a text that cannot be an id of this collection.
    """
    if not collection.key:
        raise NotFound(f"{collection.id} has no key, so its features have no id")
    values = [text]
    if len(collection.key) > 1:
        values = _split(text)
    if len(values) != len(collection.key) or "\0" in text:
        raise NotFound(f"{collection.id} has no feature {text!r}")
    for column, value in zip(collection.key_columns, values, strict=True):
        try:
            check_value(column, value, column.name)
        except InvalidParameter:
            raise NotFound(f"{collection.id} has no feature {text!r}") from None
    return tuple(values)


def parse_posted_id(value: str | float, collection: Collection) -> tuple[str, ...]:
    """The key values of the member `id` of a posted feature. Raises: InvalidFeature."""
    try:
        return parse_feature_id(str(value), collection)
    except NotFound:
        raise InvalidFeature(
            f"{collection.id} cannot have a feature with this id", pointer="/id"
        ) from None


def canonical_key(key: tuple[str, ...], collection: Collection) -> tuple[str, ...]:
    """Key values as PostgreSQL writes them: 07 becomes 7, and a UUID has small letters."""
    pairs = zip(key, collection.key_columns, strict=True)
    return tuple(_canonical(text, column) for text, column in pairs)


def _canonical(text: str, column: Column) -> str:
    try:
        if column.type_name in WHOLE_NUMBERS:
            return str(int(text))
        if column.type_name == "uuid":
            return str(UUID(text))
    except ValueError:
        pass  # the database reports what is wrong
    return text


def _split(text: str) -> list[str]:
    r"""The values between commas.

    A backslash escapes the next character; a text that ends with one is not an id: no values.
    """
    values: list[str] = []
    current = ""
    escaped = False
    for character in text:
        if escaped:
            current += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            values.append(current)
            current = ""
        else:
            current += character
    if escaped:
        return []
    values.append(current)
    return values

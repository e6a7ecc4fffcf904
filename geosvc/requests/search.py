"""The body of a search: a geometry, a spatial relation to it, and parameters of items."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from geosvc.bodies.brackets import BracketScanner, is_dense
from geosvc.bodies.decoder_messages import GEOMETRY_TYPES, no_json
from geosvc.bodies.elements import BOM
from geosvc.bodies.feature_faults import escape
from geosvc.bodies.geometries import MAX_DEPTH, nesting_depth
from geosvc.errors import (
    InvalidBody,
    InvalidFilter,
    InvalidParameter,
    RequestError,
    UnknownParameter,
)
from geosvc.model.collection import Collection
from geosvc.model.similar_names import did_you_mean
from geosvc.model.spatial import Predicate
from geosvc.requests.declared import DECLARED, LISTS
from geosvc.requests.filters import FilterLanguage, FilterRules
from geosvc.requests.items import ItemsQuery, ReadingRules, parse_items_query
from geosvc.requests.parameter_values import MAX_INT8, double_quoted
from geosvc.requests.query_string import MAX_PARAMETERS, Values
from geosvc.requests.search_geometry import GeometryShell, Members, RawMembers, parse_spatial

_OWN = frozenset({"geometry", "predicate", "distance", "k", "filter", "filter-lang"})
_GEOJSON_TYPES = frozenset((*GEOMETRY_TYPES, "Feature", "FeatureCollection"))
_NAMES = frozenset({"properties", "sortby"})
_NOT_WITH_NEAREST = ("limit", "offset", "startindex", "cursor", "sortby")
_RESERVED = frozenset(parameter.name for parameter in DECLARED) | _OWN
DEFAULT_K = 10
MAX_NAME_CHARACTERS = 100
"""The longest part of the name of an unknown member that a message repeats."""
MAX_MEMBER_BYTES = 1 << 16
"""The longest member, but for geometry and filter, which have limits of their own."""
_ESCAPED_BYTES = 6  # of one character of a JSON text

_Decoder = msgspec.json.Decoder[Any]
_shell = msgspec.json.Decoder(GeometryShell)
_anything = msgspec.json.Decoder()


def parse_search(
    body: bytes, collection: Collection, rules: ReadingRules, max_vertices: int
) -> ItemsQuery:
    """Parses the body of a search. An error has the JSON pointer of the wrong member.

    Args:
        max_vertices: the most positions of the geometry.
    Raises: InvalidBody, InvalidFilter, InvalidParameter, UnknownParameter, InvalidFeature.
    """
    raws = _read_members(body.removeprefix(BOM), collection)
    members: dict[str, Any] = {}
    for name, raw in raws.items():
        members[name] = _decode(name, raw, rules.filters)
    spatial = parse_spatial(members, raws, max_vertices)
    values = _parameters(members, raws)
    if spatial is not None and spatial.predicate is Predicate.NEAREST:
        values["limit"] = str(_parse_k(members, values))
        values["count"] = "none"
        query = _parse_parameters(values, collection, rules, members)
        nearest = replace(spatial, rows=query.limit or 0)
        return replace(query, spatial=nearest)
    if "k" in members:
        raise InvalidParameter("k is for nearest", parameter="k", pointer="/k")
    query = _parse_parameters(values, collection, rules, members)
    return replace(query, spatial=spatial)


def _parse_parameters(
    values: Values,
    collection: Collection,
    rules: ReadingRules,
    members: Members,
) -> ItemsQuery:
    """`parse_items_query` with pointers in its errors."""
    filters = replace(rules.filters, root="/filter")
    try:
        return parse_items_query(values, collection, replace(rules, filters=filters))
    except InvalidFilter as error:
        error.pointer = error.pointer or "/filter"
        raise
    except RequestError as error:
        error.pointer = None
        if error.parameter in members:
            error.pointer = f"/{error.parameter}"
        raise


def _read_members(body: bytes, collection: Collection) -> dict[str, bytes]:
    """The members as they were posted, not decoded.

    Raises: InvalidBody, UnknownParameter.
    """
    if is_dense(body):
        raise InvalidBody("the body has more brackets than a search of its length can need")
    if nesting_depth(body) > MAX_DEPTH:
        raise InvalidBody(f"the body is nested deeper than {MAX_DEPTH}")
    max_texts = 2 * MAX_PARAMETERS  # a name and a value for each member
    if body.count(b":") > MAX_PARAMETERS and _count_texts(body) > max_texts:
        raise InvalidBody(f"the body has more than {MAX_PARAMETERS} members")
    try:
        body.decode()  # msgspec does not validate the UTF-8 of what it leaves as Raw
        raws = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidBody(f"the body is not a JSON object: {no_json(error)}") from None
    _refuse_geojson(raws)
    arguments = frozenset(parameter.name for parameter in collection.parameters or ())
    parameters = _RESERVED | arguments
    for name in raws:
        if name not in parameters and name not in collection.by_name:
            raise _unknown_member(name, collection, arguments)
    members = {}
    for name, raw in raws.items():
        members[name] = bytes(raw).strip()
    return members


def _count_texts(body: bytes) -> int:
    """How many strings the object has at its top level: names of members, and values."""
    marks = BracketScanner().scan(body, strings=True)
    marked_bytes = np.frombuffer(body, np.uint8)[marks.at]
    is_quote = marked_bytes == ord('"')
    is_at_top = marks.depth == 1
    return int(np.count_nonzero(is_quote & is_at_top))


def _refuse_geojson(raws: Mapping[str, msgspec.Raw]) -> None:
    """Raises: InvalidBody for a body that is a geometry or a feature itself."""
    raw_type = bytes(raws.get("type", b""))
    kind = raw_type.strip(b'" \t\n\r').decode()
    if kind in _GEOJSON_TYPES:
        raise InvalidBody(
            f"the body is a {kind}; a search is an object that has it as a member: "
            '{"geometry": …, "predicate": "intersects"}',
            pointer="/type",
        )


def _unknown_member(name: str, collection: Collection, arguments: frozenset[str]) -> RequestError:
    if "\0" in name:
        return InvalidBody("the name of a member contains a NUL character")
    shown = name[:MAX_NAME_CHARACTERS]
    known = (*sorted(_RESERVED | arguments), *collection.by_name)
    near = did_you_mean(name, known)
    return UnknownParameter(
        f"{collection.id} has no parameter {shown!r}{near}",
        parameter=shown,
        pointer=f"/{escape(shown)}",
    )


def _decode(name: str, raw: bytes, filters: FilterRules) -> Any:
    """The value of a member. A geometry becomes a GeometryShell, a filter in JSON stays Raw."""
    if name == "geometry":
        if raw.startswith(b"{"):
            return _decode_json(name, raw, _shell)
        return msgspec.Raw(raw)
    if name == "filter":
        return _decode_filter(raw, filters)
    if len(raw) > MAX_MEMBER_BYTES:
        raise _wrong_member(name, f"{name} has more than {MAX_MEMBER_BYTES} bytes")
    return _decode_json(name, raw, _anything)


def _decode_filter(raw: bytes, filters: FilterRules) -> str | msgspec.Raw:
    if not raw.startswith(b'"'):
        return msgspec.Raw(raw)
    max_characters = filters.caps.length
    if len(raw) > _ESCAPED_BYTES * max_characters + len('""'):
        raise InvalidFilter(f"the filter has more than {max_characters} characters", "/filter")
    text: str = _decode_json("filter", raw, _anything)
    return text


def _decode_json(name: str, raw: bytes, decoder: _Decoder) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidBody(f"{name}: {no_json(error)}", pointer=f"/{name}") from None


def _parameters(members: Members, raws: RawMembers) -> dict[str, str]:
    """The members that are parameters of items, with the texts that they have in a URL."""
    values = {}
    for name, value in members.items():
        if name not in _OWN:
            values[name] = _as_text(name, value, raws[name])
    values |= _filter_parameters(members, raws)
    return values


def _filter_parameters(members: Members, raws: RawMembers) -> dict[str, str]:
    """The parameters filter and filter-lang.

    A string is a filter in CQL2 text, anything else a filter in CQL2 JSON.

    Raises: InvalidParameter.
    """
    if "filter" not in members:
        return {}
    text = members["filter"]
    language = FilterLanguage.JSON
    if isinstance(text, str):
        language = FilterLanguage.TEXT
    if members.get("filter-lang", language) != language:
        raise _wrong_member("filter-lang", f"the filter is {language}")
    if not isinstance(text, str):
        text = raws["filter"].decode()
    elif "\0" in text:
        raise _wrong_member("filter", "filter contains a NUL character")
    return {"filter": text, "filter-lang": language}


def _as_text(name: str, value: Any, raw: bytes) -> str:
    """A member as the text that it has in a URL; numbers with all their digits.

    Args:
        raw: the member as it was posted.
    """
    if isinstance(value, bool):
        return raw.decode()
    if isinstance(value, list):
        return _as_list(name, value)
    if isinstance(value, int | float):
        return raw.decode()
    if not isinstance(value, str):
        raise _wrong_member(name, f"{name} takes a number, a text or an array of them")
    if "\0" in value:
        raise _wrong_member(name, f"{name} contains a NUL character")
    return value


def _as_list(name: str, elements: list[Any]) -> str:
    """An array as a list with commas."""
    if name not in LISTS or not all(map(_is_scalar, elements)):
        raise _wrong_member(name, f"{name} takes numbers or texts")
    texts = []
    for element in elements:
        texts.append(_quoted(name, str(element)))
    return ",".join(texts)


def _is_scalar(value: Any) -> bool:
    """Whether a value is a text or a number."""
    if isinstance(value, bool):
        return False
    return isinstance(value, str | int | float)


def _quoted(name: str, text: str) -> str:
    """A name for `split_names`; a sign stays before the quotes."""
    if name not in _NAMES:
        return text
    if "," not in text and '"' not in text:
        return text
    sign = ""
    if name == "sortby" and text.startswith(("+", "-")):
        sign, text = text[0], text[1:]
    return sign + double_quoted(text)


def _parse_k(members: Members, values: Values) -> int:
    """How many nearest features to return. Raises: InvalidParameter."""
    for name in _NOT_WITH_NEAREST:
        if name in values:
            raise _wrong_member(name, f"nearest takes k, not {name}: it orders by distance")
    k = members.get("k", DEFAULT_K)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise _wrong_member("k", "k takes a whole number from 1")
    return min(k, MAX_INT8)


def _wrong_member(name: str, detail: str) -> InvalidParameter:
    return InvalidParameter(detail, parameter=name, pointer=f"/{name}")

"""The body of a search: a geometry, how features lie to it, and the parameters of items under their own names."""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

import msgspec
import shapely

from geosvc.errors import InvalidBody, InvalidFeature, InvalidFilter, InvalidParameter, RequestError
from geosvc.model.collection import Collection, GeometryColumn
from geosvc.model.crs import CRS84, WGS84
from geosvc.model.spatial import EVERYWHERE_METRES, Predicate, SpatialFilter
from geosvc.requests.antimeridian import look_across
from geosvc.requests.brackets import BracketScanner
from geosvc.requests.filters import FilterLanguage
from geosvc.requests.geodesic import geodesics_of, has_empty_part
from geosvc.requests.geometries import MAX_DEPTH, GeometryRules, read_geometries
from geosvc.requests.items import ItemsRequest, ReadingRules, parse_items_request

_OWN = frozenset({"geometry", "predicate", "distance", "k", "filter", "filter-lang"})
_NAMES = frozenset({"properties", "sortby"})
_ARRAYS = _NAMES | {"bbox"}
_ORDERED_BY_DISTANCE = ("limit", "offset", "startindex", "cursor", "sortby")
DEFAULT_K = 10
_POSTED = GeometryColumn("geometry", "GEOMETRY", WGS84, insertable=True)


def parse_search(body: bytes, collection: Collection, rules: ReadingRules, max_vertices: int) -> ItemsRequest:
    """What the body of a search asks for. A member that is wrong is named by its pointer.

    Raises: InvalidBody, InvalidFilter, InvalidParameter, UnknownParameter, InvalidFeature.
    """
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and BracketScanner().scan(body).depth.max(initial=0) > MAX_DEPTH:
        raise InvalidBody(f"the body is nested deeper than {MAX_DEPTH}")
    try:
        raws = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidBody(f"the body is no JSON object: {error}") from None
    members = {name: _decode(name, bytes(raw)) for name, raw in raws.items()}
    spatial = _parse_spatial(members, raws, max_vertices)
    values = {name: _as_text(name, value, bytes(raws[name])) for name, value in members.items() if name not in _OWN}
    values |= _filter_values(members, raws)
    nearest = spatial is not None and spatial.predicate is Predicate.NEAREST
    if nearest:
        values |= {"limit": str(_parse_k(members, values, rules)), "count": "none"}
    elif "k" in members:
        raise InvalidParameter("k is for nearest", parameter="k", pointer="/k")
    try:
        items = parse_items_request(values, collection, replace(rules, filters=replace(rules.filters, root="/filter")))
    except InvalidFilter as error:
        error.pointer = error.pointer or "/filter"
        raise
    except RequestError as error:
        error.pointer = f"/{error.parameter}" if error.parameter in members else None
        raise
    if nearest and spatial is not None:
        spatial = replace(spatial, rows=items.limit or 0)
    return replace(items, spatial=spatial)


def _filter_values(members: Mapping[str, Any], raws: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    """The parameters of the filter: one in JSON is part of the body, one in text a string in it. Raises: InvalidParameter."""
    if "filter" not in members:
        return {}
    text = members["filter"]
    language = FilterLanguage.TEXT if isinstance(text, str) else FilterLanguage.JSON
    if members.get("filter-lang", language) != language:
        raise InvalidParameter(f"the filter is {language}", parameter="filter-lang", pointer="/filter-lang")
    if isinstance(text, str) and "\0" in text:
        raise InvalidParameter("filter holds a NUL character", parameter="filter", pointer="/filter")
    return {"filter": text if isinstance(text, str) else bytes(raws["filter"]).decode(), "filter-lang": language}


def _decode(name: str, raw: bytes) -> Any:
    if "\0" in name:
        raise InvalidBody("a member holds a NUL character in its name")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidBody(f"{name}: {error}", pointer=f"/{name}") from None


def _as_text(name: str, value: Any, raw: bytes) -> str:
    """A member as the parameter of a URL would have it; numbers with all their digits.

    Args:
        raw: the member as it came.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        if name not in _ARRAYS or any(not isinstance(each, str | int | float) or isinstance(each, bool) for each in value):
            raise InvalidParameter(f"{name} takes numbers or texts", parameter=name, pointer=f"/{name}")
        return ",".join(_quoted(name, str(each)) for each in value)
    if not isinstance(value, str | int | float):
        raise InvalidParameter(f"{name} takes a number, a text or an array of them", parameter=name, pointer=f"/{name}")
    if isinstance(value, int | float):
        return raw.decode().strip()
    if "\0" in value:
        raise InvalidParameter(f"{name} holds a NUL character", parameter=name, pointer=f"/{name}")
    return value


def _quoted(name: str, text: str) -> str:
    """A name in the list that `requests.items` reads; a sign stays before the quotes."""
    if name not in _NAMES or not ("," in text or '"' in text):
        return text
    sign = text[0] if name == "sortby" and text[:1] in ("+", "-") else ""
    return sign + '"' + text[len(sign) :].replace('"', '""') + '"'


def _parse_spatial(members: Mapping[str, Any], raws: Mapping[str, msgspec.Raw], max_vertices: int) -> SpatialFilter | None:
    if "geometry" not in members:
        for name in ("predicate", "distance"):
            if name in members:
                raise InvalidParameter(f"{name} needs a geometry", parameter="geometry", pointer="/geometry")
        return None
    try:
        predicate = Predicate(members.get("predicate", "intersects"))
    except ValueError:
        raise InvalidParameter(
            f"predicate takes one of: {', '.join(Predicate)}", parameter="predicate", pointer="/predicate"
        ) from None
    metres = _parse_metres(members, predicate)
    text, pointer = bytes(raws["geometry"]), "/geometry"
    if isinstance(members["geometry"], dict) and members["geometry"].get("type") == "Feature":
        inner = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        text, pointer = bytes(inner.get("geometry", msgspec.Raw(b"null"))), "/geometry/geometry"
    shape = _read_geometry(text, pointer, max_vertices)
    if shapely.get_type_id(shape) == shapely.GeometryType.GEOMETRYCOLLECTION:
        raise InvalidFeature("a search takes no GeometryCollection", pointer=f"{pointer}/type")
    west, south, east, north = map(float, shapely.bounds(shape))
    ewkb = _ewkb(shape)
    spatial = SpatialFilter(ewkb, (west, south, east, north), predicate, metres)
    if not spatial.measures:
        across = look_across(shape)
        return spatial if across is None else replace(spatial, bounds=across.bounds, across=across.images)
    if isinstance(shape, shapely.Point):
        return replace(spatial, geodesics=(ewkb,), inside=ewkb)
    try:
        geodesics = geodesics_of(shape, max_vertices)
    except ValueError as error:
        raise InvalidFeature(f"the geometry {error}", pointer=f"{pointer}/coordinates") from None
    return replace(spatial, geodesics=tuple(map(_ewkb, geodesics)), inside=_ewkb(shapely.point_on_surface(shape)))


def _ewkb(shape: shapely.Geometry) -> bytes:
    return shapely.to_wkb(shapely.set_srid(shape, WGS84), include_srid=True, flavor="extended")


def _read_geometry(text: bytes, pointer: str, max_vertices: int) -> shapely.Geometry:
    read = read_geometries([text], GeometryRules(_POSTED, CRS84, max_vertices))
    if 0 in read.faults:
        fault = read.faults[0]
        raise InvalidFeature(f"the geometry {fault.detail}", pointer=f"{pointer}{fault.pointer}")
    shape = shapely.from_wkb(read.ewkb[0]) if read.ewkb[0] is not None else None
    if shape is None or shape.is_empty:
        raise InvalidFeature("the geometry is empty", pointer=pointer)
    if not isinstance(shape, shapely.Point) and has_empty_part(shape):
        raise InvalidFeature("the geometry has an empty part", pointer=f"{pointer}/coordinates")
    return shapely.force_2d(shape)


def _parse_metres(members: Mapping[str, Any], predicate: Predicate) -> float | None:
    value = members.get("distance")
    if value is None:
        if predicate is Predicate.DWITHIN:
            raise InvalidParameter("dwithin needs a distance in metres", parameter="distance", pointer="/distance")
        return None
    if predicate not in (Predicate.DWITHIN, Predicate.NEAREST):
        raise InvalidParameter("distance is for dwithin and nearest", parameter="distance", pointer="/distance")
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise InvalidParameter("distance takes metres from 0", parameter="distance", pointer="/distance")
    return min(float(value), EVERYWHERE_METRES)


def _parse_k(members: Mapping[str, Any], values: Mapping[str, str], rules: ReadingRules) -> int:
    for name in _ORDERED_BY_DISTANCE:
        if name in values:
            detail = f"nearest takes k rather than {name}: its order is the distance"
            raise InvalidParameter(detail, parameter=name, pointer=f"/{name}")
    k = members.get("k", DEFAULT_K)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise InvalidParameter("k takes a whole number from 1", parameter="k", pointer="/k")
    return k if rules.limits is None else min(k, rules.limits.maximum)

"""The parameters `filter`, `filter-lang` and `filter-crs`. Source: OGC 19-079r2 7 and 8."""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from geosvc.cql2.caps import Caps
from geosvc.cql2.json import parse_json
from geosvc.cql2.text import parse_text
from geosvc.cql2.tree import Condition
from geosvc.errors import InvalidParameter
from geosvc.filter_functions import BUILT_IN_FUNCTIONS, FilterFunctions
from geosvc.model.crs import Crs
from geosvc.requests.filter_geometries import FilterGeometryReader
from geosvc.requests.query_string import Values

WEIGHT = 4
"""A character of a filter takes as much work as this many bytes of a feature."""
MOST_WEIGHT = 1 << 15
_MAX_CACHED_CHARACTERS = 4_096


class FilterLanguage(StrEnum):
    """The encodings of CQL2."""

    TEXT = "cql2-text"
    JSON = "cql2-json"


@dataclass(frozen=True, slots=True)
class FilterRules:
    """What a filter may contain.

    Attributes:
        max_vertices: the most positions of a geometry.
        root: the JSON pointer to the filter, where it is part of a body.
        functions: that it may call.
    """

    caps: Caps = field(default_factory=Caps)
    max_vertices: int = 1_000_000
    root: str = ""
    functions: FilterFunctions = field(default=BUILT_IN_FUNCTIONS, compare=False)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter. Two filters are equal when their text, language and CRS are.

    Attributes:
        condition: the parsed text.
        functions: that it may call; the names in the condition refer to them.
    """

    text: str
    language: FilterLanguage
    crs: Crs
    condition: Condition = field(compare=False, repr=False)
    functions: FilterFunctions = field(compare=False, repr=False)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What two equal filters have in common.

        Unlike `condition`, it stays the same when the classes of conditions change, so that the
        cursors of clients stay valid.
        """
        return self.text, self.language, self.crs.uri

    @property
    def is_immutable(self) -> bool:
        """Whether it selects the same rows as long as the rows stay the same."""
        return self.functions.are_immutable_in(self.condition)

    @property
    def weight(self) -> int:
        """The work of planning it, in bytes of features; at most as much as one thread takes."""
        return min(WEIGHT * len(self.text), MOST_WEIGHT)


def parse_filter(values: Values, crs: Crs, rules: FilterRules) -> Filter | None:
    """Parses the filter of a query; None without one.

    Args:
        crs: of its geometries.
    Raises: InvalidFilter, InvalidParameter.
    """
    try:
        language = FilterLanguage(values.get("filter-lang", FilterLanguage.TEXT))
    except ValueError:
        known = ", ".join(FilterLanguage)
        raise InvalidParameter(
            f"filter-lang takes one of: {known}", parameter="filter-lang"
        ) from None
    text = values.get("filter")
    if text is None:
        return None
    parse = _parse_cached if len(text) <= _MAX_CACHED_CHARACTERS else _parse
    condition = parse(text, language, crs, rules)
    return Filter(text, language, crs, condition, rules.functions)


def _parse(text: str, language: FilterLanguage, crs: Crs, rules: FilterRules) -> Condition:
    reader = FilterGeometryReader(crs, rules.max_vertices)
    if language is FilterLanguage.JSON:
        return parse_json(text.encode(), rules.caps, reader, rules.root)
    return parse_text(text, rules.caps, reader)


# Filters repeat: maps request one box after another with the same filter. Long ones would take
# too much memory.
_parse_cached = lru_cache(maxsize=256)(_parse)

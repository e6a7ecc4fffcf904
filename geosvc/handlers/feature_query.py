"""A request for features, parsed, and the statement that reads them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

from aiohttp import web

from geosvc.cql2.caps import Caps
from geosvc.encode.batches import BatchSize
from geosvc.filter_functions import BUILT_IN_FUNCTIONS, FilterFunctions
from geosvc.formats import FeatureFormats
from geosvc.http.keys import FORMATS, FUNCTIONS, OFFLOAD, PLANS, PRINCIPAL, SETTINGS
from geosvc.http.links import base_url, items_links, next_pages_url, search_links
from geosvc.model.collection import Collection
from geosvc.model.crs import Srid
from geosvc.model.media_type import MediaType
from geosvc.model.principal import Principal
from geosvc.query.feature_format import FeatureFormat
from geosvc.query.features import FeaturePage, PagePlans
from geosvc.query.paging import PageSequence, check_cursor, pages_of
from geosvc.requests.filters import MOST_WEIGHT, WEIGHT, FilterRules
from geosvc.requests.items import ItemsQuery, PageLimits, ReadingRules, parse_items_query
from geosvc.settings import Settings

_MAX_FETCH_BYTES = 8 << 20  # a page that the catalog expects to be larger is streamed


@dataclass(frozen=True)
class FeatureQuery:
    """An `ItemsQuery` with what its answer needs: the collection, the client, the media type.

    Attributes:
        principal: who sends the request.
        values: the parameters as text.
        query: what the parameters select; it knows no HTTP.
        media_type: of the answer.
        formats: all formats of the service.
        plans: the plans that were used last.
        base: the root URL that clients see.
        posted: whether the parameters were in the body, as in a search.
    """

    principal: Principal
    collection: Collection
    values: Mapping[str, str]
    query: ItemsQuery
    media_type: MediaType
    formats: FeatureFormats
    plans: PagePlans
    base: str
    posted: bool = False

    @property
    def format(self) -> FeatureFormat:
        """How the features are written."""
        return self.formats.find(self.media_type)

    @cached_property
    def pages(self) -> PageSequence:
        """What the cursors of its pages have in common."""
        return pages_of(self.collection, self.query)

    @cached_property
    def links(self) -> Sequence[Mapping[str, object]]:
        """The links of each of its pages, without that to the next page."""
        if self.posted:
            return search_links(self.base, self.collection, self.media_type)
        others = [each for each in self.formats.items_types if each is not self.media_type]
        media_types = (self.media_type, *others)
        return items_links(self.base, self.collection, self.values, media_types)

    @cached_property
    def next_pages_url(self) -> str:
        """The URL of the next page but for the cursor, whose text needs no escaping."""
        return next_pages_url(self.base, self.collection, self.values)

    @cached_property
    def page(self) -> FeaturePage:
        """The statement that reads the page. Raises: InvalidFilter."""
        plan = self.plans.find(self.collection, self.query, self.format)
        return plan.bind(self.query)

    def check_cursor(self) -> None:
        """Checks that the cursor belongs to its pages. Raises: InvalidParameter."""
        if self.query.cursor is not None:
            check_cursor(self.pages, self.query.cursor)


def reading_rules(request: web.Request, *, paged: bool = True) -> ReadingRules:
    """The settings that limit what a request may read.

    Args:
        paged: whether the answer has pages, and so a limit.
    """
    return rules_of(request.app[SETTINGS], request.app[FUNCTIONS], paged=paged)


def rules_of(
    settings: Settings, functions: FilterFunctions = BUILT_IN_FUNCTIONS, *, paged: bool
) -> ReadingRules:
    """The rules of some settings.

    Args:
        functions: that filters may call.
        paged: whether the answer has pages, and so a limit.
    """
    limits = None
    if paged:
        limits = PageLimits(settings.limit_default, settings.limit_max)
    caps = Caps(
        settings.max_filter_length,
        settings.max_filter_depth,
        settings.max_filter_parts,
    )
    return ReadingRules(
        limits,
        crs=tuple(map(Srid, settings.crs)),
        filters=FilterRules(caps, settings.max_vertices, functions=functions),
        escapes_formulas=settings.csv_escape_formulas,
    )


async def parse_feature_query(
    request: web.Request,
    collection: Collection,
    values: Mapping[str, str],
    media_type: MediaType,
    rules: ReadingRules,
) -> FeatureQuery:
    """Parses the parameters of a request for features; a long query string in a thread.

    Args:
        media_type: as negotiated.
    Raises: RequestError.
    """
    query_string = request.rel_url.raw_query_string
    weight = min(WEIGHT * len(query_string), MOST_WEIGHT)
    offload = request.app[OFFLOAD]
    query = await offload.run(weight, parse_items_query, values, collection, rules)
    principal = request[PRINCIPAL]
    feature_query = FeatureQuery(
        principal,
        collection,
        values,
        query,
        media_type,
        request.app[FORMATS],
        request.app[PLANS],
        base_url(request),
    )
    feature_query.check_cursor()
    return feature_query


async def plan_page(request: web.Request, feature_query: FeatureQuery) -> FeaturePage:
    """The statement that reads a page. A long filter is planned in a thread.

    Raises: InvalidFilter.
    """
    chosen = feature_query.query.filter
    if chosen is None:
        return feature_query.page
    return await request.app[OFFLOAD].run(chosen.weight, _page_of, feature_query)


_page_of: Callable[[FeatureQuery], FeaturePage] = attrgetter("page")


def is_large(feature_query: FeatureQuery, stream_above_rows: int) -> bool:
    """Whether a page is streamed instead of being held in memory."""
    if not feature_query.format.streams:
        return False
    limit = feature_query.query.limit or 0
    expected_bytes = limit * feature_query.collection.row_bytes
    return limit > stream_above_rows or expected_bytes > _MAX_FETCH_BYTES


def batch_size(request: web.Request, feature_query: FeatureQuery) -> BatchSize:
    """The batches of a stream."""
    settings = request.app[SETTINGS]
    return BatchSize(
        settings.batch_rows,
        settings.batch_bytes,
        feature_query.collection.row_bytes,
        feature_query.format.encoded_bytes,
    )

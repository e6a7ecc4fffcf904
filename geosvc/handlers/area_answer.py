"""The answer about an area of a published table: fresh by proof, while edits fall elsewhere.

The ETag is weak, and names the version of the table before the answer was made. A request has the
log read, and then one of these is true (docs/decisions/0047):

- The client has an answer of a version that this worker knows, and nothing has touched the area
  since: 304, without a statement.
- An answer is in memory, and nothing has touched the area since it was made.
- The answer is made, once for all who wait for it.
"""

import re
from dataclasses import dataclass
from functools import partial

from aiohttp import hdrs, web

from geosvc.caching.cache_key import CacheKey
from geosvc.caching.response import CachedResponse
from geosvc.handlers.cached_answer import (
    VARY_HEADER,
    Build,
    answer_at_unknown_version,
    encoded_response,
    tag_of_version,
)
from geosvc.http.keys import AREA_CACHE, CHANGE_READER
from geosvc.http.validators import not_modified
from geosvc.live.area_versions import AnswerArea, AreaVersions

_TAG = re.compile(r'W/"(?P<version>[0-9a-f]{1,16})\.(?P<digest>[0-9a-f]+)"')


@dataclass(frozen=True, slots=True)
class AreaRequest:
    """What an answer about an area depends on.

    Attributes:
        key: of the answer, without the version of its table.
    """

    key: CacheKey
    area: AnswerArea


async def answer_about_area(
    request: web.Request, wanted: AreaRequest, build: Build
) -> web.StreamResponse:
    """Answers with 304, from memory, or with a new answer. Raises: RequestError."""
    reader = request.app[CHANGE_READER]
    key = wanted.key
    version = await reader.current(key.publication)
    if version is None:
        return await answer_at_unknown_version(request, build, None)
    held = _held_tag(request, wanted, reader.areas)
    if held is not None:
        unchanged = not_modified(request, held)
        if unchanged is not None:
            return unchanged
    found = await _fresh_at(request, wanted, build, version)
    unchanged = not_modified(request, found.headers["ETag"])
    if unchanged is not None:
        return unchanged
    return encoded_response(request, found, partial(request.app[AREA_CACHE].resize, key))


async def fresh_part(request: web.Request, wanted: AreaRequest, build: Build) -> CachedResponse:
    """A part of an answer about several tables: from memory, or made. Raises: RequestError."""
    version = await request.app[CHANGE_READER].current(wanted.key.publication)
    if version is None:
        return await build(None)
    return await _fresh_at(request, wanted, build, version)


async def _fresh_at(
    request: web.Request, wanted: AreaRequest, build: Build, version: int
) -> CachedResponse:
    """An answer that is right at a version, which was read for this request."""
    areas = request.app[CHANGE_READER].areas
    cache = request.app[AREA_CACHE]
    key = wanted.key
    position = areas.now(key.publication, version, wanted.area)
    is_valid = partial(areas.is_untouched, key.publication, wanted.area)
    found = cache.find(key, is_valid)
    if found is not None:
        return found
    make = partial(_build_tagged, wanted, build, version)
    return await cache.share(key, position, is_valid, make)


def _held_tag(request: web.Request, wanted: AreaRequest, areas: AreaVersions) -> str | None:
    """The tag of an answer that the client has and that is still right; None without one."""
    header = request.headers.get(hdrs.IF_NONE_MATCH)
    if header is None:
        return None
    publication = wanted.key.publication
    for tag in _TAG.finditer(header):
        if tag["digest"] != wanted.key.digest:
            continue
        position = areas.position_of(publication, int(tag["version"], 16))
        if position is not None and areas.is_untouched(publication, wanted.area, position):
            return tag[0]
    return None


async def _build_tagged(wanted: AreaRequest, build: Build, version: int) -> CachedResponse:
    answer = await build(version)
    etag = tag_of_version(wanted.key, version)
    answer.headers = {**answer.headers, "ETag": etag, **VARY_HEADER}
    return answer

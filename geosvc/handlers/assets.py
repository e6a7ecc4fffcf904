"""The files of the pages, from memory: styles, scripts, the map library, the base map."""

from aiohttp import hdrs, web

from geosvc.assets import Asset
from geosvc.encode.compression import CODINGS, compress
from geosvc.errors import NotFound
from geosvc.http.keys import ASSETS
from geosvc.http.validators import CACHE_CONTROL, not_modified
from geosvc.requests.negotiation import negotiate_coding

FOR_EVER = "public, max-age=31536000, immutable"


async def get_asset(request: web.Request) -> web.Response:
    """A file. Its URL has the version of all files, so that a client may keep it for ever."""
    assets = request.app[ASSETS]
    asset = assets.files.get(request.match_info["name"])
    if asset is None:
        raise NotFound("there is no such file")
    coding = negotiate_coding(request.headers.get(hdrs.ACCEPT_ENCODING), CODINGS)
    etag = f'"{assets.version}"'
    if coding is not None:
        etag = f'"{assets.version}-{coding}"'
    cache_control = FOR_EVER
    if request.match_info["version"] != assets.version:
        cache_control = CACHE_CONTROL  # from a worker that is being replaced
    headers: dict[str, str] = {
        hdrs.CACHE_CONTROL: cache_control,
        hdrs.ETAG: etag,
    }
    unchanged = not_modified(request, etag, headers=headers)
    if unchanged is not None:
        return unchanged
    headers[hdrs.CONTENT_TYPE] = asset.content_type
    if coding is None:
        return web.Response(body=asset.body, headers=headers)
    headers[hdrs.CONTENT_ENCODING] = coding
    return web.Response(body=_encoded(asset, coding), headers=headers)


def _encoded(asset: Asset, coding: str) -> bytes:
    """The file in a content coding, compressed once."""
    if coding not in asset.coded:
        asset.coded[coding] = compress(asset.body, coding)
    return asset.coded[coding]

"""The files of the pages, from memory: style, scripts, the map library, the countries behind the map."""

from aiohttp import hdrs, web

from geosvc.encode.compression import CODINGS, compress
from geosvc.errors import NotFound
from geosvc.keys import ASSETS
from geosvc.requests.negotiation import negotiate_coding

FOR_EVER = "public, max-age=31536000, immutable"


async def get_asset(request: web.Request) -> web.Response:
    """A file. The version in its URL changes with the files, so that what was fetched once holds for ever."""
    assets = request.app[ASSETS]
    name, version = request.match_info["name"], request.match_info["version"]
    asset = assets.files.get(name)
    if asset is None:
        raise NotFound("there is no such file")
    coding = negotiate_coding(request.headers.get(hdrs.ACCEPT_ENCODING), CODINGS)
    tag = f'"{assets.version}{"-" + coding if coding else ""}"'
    headers = {
        # another version is asked for while workers are being replaced
        hdrs.CACHE_CONTROL: FOR_EVER if version == assets.version else "no-cache",
        hdrs.ETAG: tag,
        "X-Content-Type-Options": "nosniff",
    }
    if tag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers=headers)
    body = asset.body
    if coding is not None:
        body = asset.coded.get(coding) or asset.coded.setdefault(coding, compress(body, coding))
        headers[hdrs.CONTENT_ENCODING] = coding
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: asset.content_type, **headers})

"""What requests for features ask for, read once: the same request asked again is recognised by its text."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from aiohttp import hdrs, web

from geosvc.handlers.pages import Reading
from geosvc.live.cache import Question
from geosvc.model.collection import Collection
from geosvc.requests.items import ItemsRequest

MAX_CHARACTERS = 1 << 18  # in all; what is read of a filter takes some sixty times as much
_MAX_EACH = 1 << 11
_MAX_TOKEN = (1 << 64) - 1

Place = tuple[int, str, str, str, str]


_T = TypeVar("_T")


@dataclass(slots=True)
class AskedPage:
    """A request for a page, read.

    Attributes:
        headers: of every answer to it.
        large: whether it is answered with a stream.
        question: what its answers are kept by; None when they have no version.
    """

    reading: Reading
    headers: Mapping[str, str]
    large: bool
    question: Question | None
    _token: int | None = None
    _etag: str = ""

    def etag(self, token: int) -> str:
        """The weak ETag of the answer at a version."""
        if token != self._token and self.question is not None:
            self._token, self._etag = token, tag_of_version(self.question, token)
        return self._etag


@dataclass(frozen=True, slots=True)
class AskedItem:
    """A request for one feature, read but for its id.

    Attributes:
        style: what its answers are kept by, whatever the feature; None when they have no version.
    """

    collection: Collection
    wanted: ItemsRequest
    base: str
    style: Question | None

    def question(self, feature_id: str) -> Question | None:
        """What the answers about a feature are kept by; None when they have no version."""
        style = self.style
        return style and Question(style.kind, style.publication, f"{style.digest} {feature_id}")


class Readings(Generic[_T]):
    """The requests that were read last, by everything that decides what they ask for."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Place, _T] = OrderedDict()
        self._characters = 0

    def find(self, place: Place) -> _T | None:
        """What a request asks for, if it was read before."""
        asked = self._kept.get(place)
        if asked is not None:
            self._kept.move_to_end(place)
        return asked

    def keep(self, place: Place, asked: _T) -> None:
        """Keeps what a request asks for."""
        size = _size(place)
        if size > _MAX_EACH or place in self._kept:
            return
        self._kept[place] = asked
        self._characters += size
        while self._characters > MAX_CHARACTERS:
            self._characters -= _size(self._kept.popitem(last=False)[0])


PAGES_ASKED = web.AppKey("pages_asked", Readings[AskedPage])
ITEMS_ASKED = web.AppKey("items_asked", Readings[AskedItem])


def tag_of_version(asked: Question, token: int) -> str:
    """The weak ETag of the answer to a question at a version."""
    return f'W/"{token & _MAX_TOKEN:x}.{asked.digest}"'


def _size(place: Place) -> int:
    return 64 + sum(map(len, place[1:]))


def place_of(request: web.Request, collection: Collection, text: str) -> Place:
    """Everything that decides what a request asks for. The collection is held by what was read, so no other can get its
    id() while that is kept; after a change of the catalog it is another.

    Args:
        text: of the request line, what matters.
    """
    return (id(collection), text, request.headers.get(hdrs.ACCEPT, ""), request.host, request.scheme)

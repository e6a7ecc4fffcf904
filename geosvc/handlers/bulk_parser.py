"""A body of many features: cut into features as it arrives, each checked in a thread."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from geosvc.bodies.brackets import is_dense
from geosvc.bodies.elements import MalformedBody, Piece, TooLarge
from geosvc.bodies.feature_reader import FeatureReader
from geosvc.bodies.raw_feature import Posted
from geosvc.bodies.splitting import BodySplitter
from geosvc.bodies.stated_crs import check_stated_crs
from geosvc.database.writes.bulk import BulkLoad
from geosvc.errors import BodyTooLarge, InvalidBody
from geosvc.model.crs import Crs
from geosvc.offload.offload import THREAD_BYTES, Offload

CHUNK_BYTES = 1 << 20


@dataclass(slots=True)
class BulkParser:
    """Parses the body of a load while it arrives.

    Attributes:
        splitter: cuts the body into the texts of features.
        reader: reads the features.
        crs: of the coordinates.
        sequence: whether the body is a text sequence, where a pointer cannot name a feature.
        single: whether the body is one feature, which has a URL.
        scale: how many times more work its features are than plain ones.
        received: features so far.
        digest: of the body so far.
    """

    splitter: BodySplitter
    reader: FeatureReader
    crs: Crs
    sequence: bool
    single: bool = False
    scale: int = 1
    received: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def pointer(self, index: int, pointer: str | None) -> str | None:
        """A pointer within a feature, as one within the body.

        Args:
            index: of the feature in the body.
        """
        if self.sequence:
            return pointer
        return f"/features/{index}{pointer or ''}"

    def cut(self, data: bytes, last: bool) -> list[Piece]:
        """Cuts the next bytes of the body into the texts of features. Called in a thread.

        Args:
            last: whether the body ends with these bytes.
        Raises: InvalidBody, BodyTooLarge, InvalidFeature.
        """
        self.digest.update(data)
        try:
            pieces = self.splitter.feed(data)
            if last:
                pieces += self.splitter.finish()
        except TooLarge as error:
            raise BodyTooLarge(error.detail, index=error.index) from None
        except MalformedBody as error:
            raise InvalidBody(error.detail, index=error.index) from None
        check_stated_crs(self.splitter.members, self.crs)
        return pieces


async def read_features(
    parser: BulkParser,
    load: BulkLoad,
    body: AsyncIterator[bytes],
    offload: Offload,
) -> AsyncGenerator[Posted, None]:
    """Reads the features that can be stored, in batches; reports the others to the load.

    Raises: RequestError.
    """
    chunk = bytearray()
    async for data in body:
        chunk += data
        if len(chunk) < CHUNK_BYTES:
            continue
        pieces = await offload.run_piece(parser.cut, bytes(chunk), False)
        chunk.clear()
        for piece in pieces:
            yield await _read_piece(parser, load, piece, offload)
    last_pieces = await offload.run_piece(parser.cut, bytes(chunk), True)
    for piece in last_pieces:
        yield await _read_piece(parser, load, piece, offload)


async def _read_piece(parser: BulkParser, load: BulkLoad, piece: Piece, offload: Offload) -> Posted:
    """Reads some features in a thread.

    In a child process where one of them is large, or where the text is mostly brackets.
    """
    array = b"[%b]" % piece.text
    work = piece.longest * parser.scale
    run = offload.run_piece
    if work > THREAD_BYTES or is_dense(array):
        run = offload.run_in_child
    read_many = parser.reader.read_many
    posted, refused = await run(read_many, array, piece.first, load.rejections_to_failure)
    parser.received += len(posted) + len(refused)
    load.reject(refused)
    return posted

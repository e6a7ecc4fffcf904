"""The report on a load of many features."""

import orjson
from aiohttp import hdrs

from geosvc.database.writes.bulk import BulkReport
from geosvc.errors import RequestError
from geosvc.handlers.bulk_parser import BulkParser
from geosvc.handlers.write_requests import WriteRequest
from geosvc.http.links import item_url
from geosvc.http.problem import PROBLEM_TYPE, members_of
from geosvc.model.feature import IDS_WITHOUT_URL
from geosvc.model.media_type import JSON
from geosvc.query.id_member import has_numbers_as_ids


def describe_load(
    report: BulkReport, write: WriteRequest, parser: BulkParser
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to a load."""
    dry_run, collection = write.options.dry_run, write.collection
    document: dict[str, object] = {
        "numberReceived": report.received,
        "numberCreated": report.created,
        "numberUpdated": report.updated,
        "numberRejected": len(report.rejected),
        "rejected": [_describe_rejection(index, error, parser) for index, error in report.rejected],
    }
    if report.number_repaired:
        document["numberRepaired"] = report.number_repaired
        repairs = [{"index": index, "change": change} for index, change in report.repaired]
        document["repaired"] = repairs
    headers: dict[str, str] = {hdrs.CONTENT_TYPE: JSON.content_type}
    if report.ids is not None and not dry_run:
        ids = [feature_id for _, feature_id in report.ids]
        document["ids"] = list(map(int, ids)) if has_numbers_as_ids(collection) else ids
        if parser.single and ids and ids[0] not in IDS_WITHOUT_URL:
            headers[hdrs.LOCATION] = item_url(write.base, collection, ids[0])
    status = 200
    if report.created and not dry_run:
        status = 201
    return status, headers, orjson.dumps(document)


def _describe_rejection(index: int, error: RequestError, parser: BulkParser) -> dict[str, object]:
    """Why a feature was not stored. The pointer is one within the body."""
    members = {
        "index": index,
        "type": f"{PROBLEM_TYPE}{error.slug}",
        "detail": error.detail,
        **members_of(error),
    }
    pointer = parser.pointer(index, error.pointer)
    if pointer is not None:
        members["pointer"] = pointer
    return members

"""The report on a load of many features."""

import orjson
from aiohttp import hdrs

from geosvc.database.writes.bulk import BulkReport
from geosvc.errors import RequestError
from geosvc.handlers.bulk_parser import BulkParser
from geosvc.handlers.write_answers import location
from geosvc.handlers.write_requests import WriteRequest
from geosvc.http.problem import PROBLEM_TYPE, members_of
from geosvc.model.answer import Answer
from geosvc.model.media_type import JSON
from geosvc.query.id_member import has_numbers_as_ids


def report_answer(report: BulkReport, write: WriteRequest, parser: BulkParser) -> Answer:
    """The answer to a load: what was stored, and why the other features were not.

    After a dry run it has no ids, since nothing was stored.
    """
    dry_run = write.options.dry_run
    headers: dict[str, str] = {hdrs.CONTENT_TYPE: JSON.content_type}
    document = _describe_load(report, parser)
    if report.ids is not None and not dry_run:
        ids = [feature_id for _, feature_id in report.ids]
        document["ids"] = ids
        if has_numbers_as_ids(write.collection):
            document["ids"] = list(map(int, ids))
        if parser.single and ids:
            headers |= location(write, ids[0])
    status = 200
    if report.created and not dry_run:
        status = 201
    body = orjson.dumps(document)
    return write.answer(status, headers, body)


def _describe_load(report: BulkReport, parser: BulkParser) -> dict[str, object]:
    rejected = []
    for index, error in report.rejected:
        rejected.append(_describe_rejection(index, error, parser))
    document: dict[str, object] = {
        "numberReceived": report.received,
        "numberCreated": report.created,
        "numberUpdated": report.updated,
        "numberRejected": len(report.rejected),
        "rejected": rejected,
    }
    if report.number_repaired:
        document["numberRepaired"] = report.number_repaired
        repaired = []
        for index, change in report.repaired:
            repaired.append({"index": index, "change": change})
        document["repaired"] = repaired
    return document


def _describe_rejection(index: int, error: RequestError, parser: BulkParser) -> dict[str, object]:
    """Why a feature was not stored. The pointer is one within the body."""
    members: dict[str, object] = {
        "index": index,
        "type": f"{PROBLEM_TYPE}{error.slug}",
        "detail": error.detail,
        **members_of(error),
    }
    pointer = parser.pointer(index, error.pointer)
    if pointer is not None:
        members["pointer"] = pointer
    return members

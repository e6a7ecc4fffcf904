"""Documents of the admin listener: as JSON, or as a page without any script."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Any

from aiohttp import hdrs, web

from geosvc.encode.html import write_page
from geosvc.http.documents import json_response
from geosvc.http.keys import WORKER_PEERS
from geosvc.model.media_type import JSON, MediaType

# nothing from other origins, and no script at all
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'"
)


@dataclass(frozen=True, slots=True)
class WorkerAnswers:
    """What the workers report about one thing.

    Attributes:
        by_worker: the reports of the workers that answered.
        counts: the members that say how many workers there are, and when they were asked.
    """

    by_worker: Mapping[int, Any]
    counts: dict[str, Any]


def admin_page(
    template: str,
    document: dict[str, Any],
    media_type: MediaType,
    *,
    root: str = "",
    status: int = 200,
) -> web.Response:
    """A document as JSON, or as a page.

    Args:
        root: the relative URL of `/`.
    """
    if media_type is JSON:
        return json_response(document)
    headers = {
        hdrs.CONTENT_TYPE: media_type.content_type,
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        hdrs.CACHE_CONTROL: "no-store",
    }
    body = write_page(template, root=root, **document)
    return web.Response(body=body, headers=headers, status=status)


async def ask_workers(request: web.Request, part: str) -> WorkerAnswers:
    """Asks all workers for a part of their report.

    Args:
        part: as `worker_report` knows it.
    """
    answers = await request.app[WORKER_PEERS].collect(part)
    by_worker = {}
    for worker, answer in answers.items():
        if answer is not None:
            by_worker[worker] = answer
    counts = {
        "now": time(),
        "workers": len(answers),
        "silent": len(answers) - len(by_worker),
    }
    return WorkerAnswers(by_worker, counts)

"""What schemathesis may find: failures of its checks that are none of the service's, each with its
reason.
"""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import schemathesis

Excuse = Callable[[str, Any, Any, dict[str, Any]], bool]

# How the details of problems begin that JSON Schema has no words for
RULES = re.compile(
    "(zoom-level|offset|startindex) and (simplify|cursor|startindex) exclude each other|a dry run"
    " changes nothing"
    "|datetime starts after its end|bbox has its (south above its north|bottom above its top|west"
    " above its east)"
    "|bbox (takes 4 or 6 numbers|has a l)|upsert is for tables with a key|the feature needs an id"
    "|distance is for dwithin and nearest|k is for nearest|dwithin needs a"
    " distance|(predicate|distance) needs a geometry"
    "|the function cannot take these arguments|nearest takes k, not|this Idempotency-Key was used"
    " for another request"
)


def breaks_a_rule_between_parameters(
    kind: str, case: Any, response: Any, problem: dict[str, Any]
) -> bool:
    """OpenAPI 3.0 cannot say that parameters exclude or need each other or the body, nor compare
    two numbers of one.
    """
    return (
        kind == "RejectedPositiveData"
        and response.status_code in (400, 422)
        and bool(RULES.search(problem["detail"]))
    )


def has_a_cursor_that_nobody_gave_out(
    kind: str, case: Any, response: Any, problem: dict[str, Any]
) -> bool:
    """A cursor is copied from a page; it holds what the page was asked with."""
    sent = "cursor" in (case.query or {}) or (isinstance(case.body, dict) and "cursor" in case.body)
    return (
        kind == "RejectedPositiveData"
        and response.status_code == 400
        and sent
        and "cursor" in problem["detail"]
    )


def has_a_filter_that_is_no_cql2(
    kind: str, case: Any, response: Any, problem: dict[str, Any]
) -> bool:
    """The grammar of CQL2, and which properties there are to compare, are beyond a pattern."""
    sent = "filter" in (case.query or {}) or (isinstance(case.body, dict) and "filter" in case.body)
    return kind == "RejectedPositiveData" and response.status_code == 400 and sent


def has_a_geometry_that_cannot_be(
    kind: str, case: Any, response: Any, problem: dict[str, Any]
) -> bool:
    """JSON Schema cannot say that rings are closed and polygons valid, that places are on Earth, or
    how a patch is merged.
    """
    return (
        kind == "RejectedPositiveData"
        and response.status_code == 422
        and "/geometry" in problem.get("pointer", "")
    )


def has_a_nul_character(kind: str, case: Any, response: Any, problem: dict[str, Any]) -> bool:
    """PostgreSQL stores none in a text; to say so of every text would hide what else is said."""
    return (
        kind == "RejectedPositiveData"
        and response.status_code in (400, 422)
        and "a NUL character" in problem["detail"]
    )


def has_a_zone_that_postgresql_lacks(
    kind: str, case: Any, response: Any, problem: dict[str, Any]
) -> bool:
    """RFC 3339 has zones up to 23:59 from UTC, PostgreSQL up to 15:59."""
    far = re.compile(r"[+-](1[6-9]|2[0-3]):[0-5][0-9]")
    sent = f"{case.query} {case.body}"
    return (
        kind == "RejectedPositiveData"
        and response.status_code in (400, 422)
        and bool(far.search(sent))
    )


def asks_for_more_than_a_page_holds(
    kind: str, case: Any, response: Any, problem: dict[str, Any]
) -> bool:
    """More than the maximum gives the maximum (OGC 17-069r4, /req/core/fc-limit-response-1 C),
    which GDAL relies on.
    """
    described = case.operation.schema.raw_schema["components"]["parameters"]["limit"]["schema"]
    limit = str(
        (case.query or {}).get(
            "limit", (case.body or {}).get("limit") if isinstance(case.body, dict) else ""
        )
    )
    return kind == "AcceptedNegativeData" and limit.isdigit() and int(limit) > described["maximum"]


def has_no_body_unless_prefer_asks_for_it(
    kind: str, case: Any, response: Any, problem: dict[str, Any]
) -> bool:
    """OpenAPI 3.0 has no optional body of a response; `Prefer` says whether there is one."""
    return (
        kind in ("MissingContentType", "JsonDeserializationError", "MalformedJson")
        and not response.content
    )


def was_made_valid(kind: str, case: Any, response: Any, problem: dict[str, Any]) -> bool:
    """schemathesis calls a whole sequence invalid for one case of it, and then blames another, of
    which it says itself that it is valid.
    """
    described = getattr(getattr(case.meta.phase, "data", None), "description", None)
    return kind == "AcceptedNegativeData" and described == "Positive test case"


EXCUSES: tuple[Excuse, ...] = (
    breaks_a_rule_between_parameters,
    has_a_cursor_that_nobody_gave_out,
    has_a_filter_that_is_no_cql2,
    has_a_geometry_that_cannot_be,
    has_a_nul_character,
    has_a_zone_that_postgresql_lacks,
    asks_for_more_than_a_page_holds,
    has_no_body_unless_prefer_asks_for_it,
    was_made_valid,
)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure counts."""
    kind = response.headers.get("content-type", [""])[0]
    # a page tells the detail as well
    problem = (
        response.json()
        if kind.startswith("application/problem+json")
        else {"detail": unescape(response.text or "")}
    )
    return not any(excuse(type(failure).__name__, case, response, problem) for excuse in EXCUSES)

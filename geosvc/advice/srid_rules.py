"""Advice for geometry columns without an SRID."""

import re
from collections.abc import Iterator

from geosvc.advice.evidence import (
    MANY_ROWS,
    Advice,
    Diagnosis,
    Evidence,
    Relation,
    quote,
    root_of,
    table_of,
)
from geosvc.advice.plan import Node

_DIMENSION_SUFFIXES = ("", "M", "Z", "ZM")  # by the number of ST_Zmflag


def unknown_srid(evidence: Evidence) -> Iterator[Advice]:
    """A column has no SRID, so each row is transformed before it is compared."""
    diagnosis = evidence.diagnosis
    for node in diagnosis.nodes():
        relation = diagnosis.relation_of(node)
        if relation is None or relation["rows"] < MANY_ROWS or not node.filter:
            continue
        for column, srid in relation["spatial"].items():
            if srid == 0 and _transforms(node, column):
                yield Advice(
                    "unknown-srid",
                    f"{column} of {table_of(relation)} has no SRID, so the SRID of each row is "
                    "read before the row is compared, and no index on the column is used. Set "
                    "the column's SRID to that of its rows. This rewrites the table.",
                    _set_srid(diagnosis, relation, column),
                )


def _transforms(node: Node, column: str) -> bool:
    """Whether a scan transforms a column of its relation for each row."""
    names = f"{re.escape(column)}|{re.escape(quote(column))}"
    call = rf'\bst_transform\((?:(?:\w+|"[^"]+")\.)?(?:{names}), '
    return re.search(call, node.filter) is not None


def _set_srid(diagnosis: Diagnosis, relation: Relation, column: str) -> str | None:
    """The command that sets the SRID of a column to that of its rows.

    It fails, and changes nothing, if a row has another SRID. None when the sampled rows differ, or
    when the type of the column cannot be changed.
    """
    sample = diagnosis.column_samples.get((relation["schema"], relation["name"], column))
    if sample is None or len(sample.srids) != 1 or len(sample.dimensions) != 1:
        return None
    srid = sample.srids[0]
    if not srid or relation["kind"] != "r" or relation["columns"][column]["fixed"]:
        return None
    schema = ""
    if diagnosis.postgis is not None and diagnosis.postgis != "public":
        schema = f"{quote(diagnosis.postgis)}."
    suffix = _DIMENSION_SUFFIXES[sample.dimensions[0]]
    column_type = f"{schema}geometry(Geometry{suffix}, {srid})"
    table = quote(*root_of(relation))
    return f"ALTER TABLE {table} ALTER COLUMN {quote(column)} TYPE {column_type}"

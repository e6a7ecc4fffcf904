"""Findings about the geometries in a sample of rows: SRIDs, validity, geometries without points."""

from collections.abc import Iterator
from dataclasses import dataclass

from geosvc.advice.findings import Facts, Finding, Quote, quoted_table, subject_of
from geosvc.catalog.typmod import decode_typmod
from geosvc.model.collection import GeometryColumn
from geosvc.model.crs import UNKNOWN

WGS84_SRID = 4326
_DIMENSIONS = {"MULTIPOINT": 1, "MULTILINESTRING": 2, "MULTIPOLYGON": 3}


@dataclass(frozen=True, slots=True)
class Sample:
    """Counts of some rows of a geometry column.

    Attributes:
        srids: the SRIDs that occur.
        pointless: how many geometries have rings or members but no point, and are not empty for
            PostGIS.
    """

    rows: int
    invalid: int
    srids: tuple[int, ...]
    pointless: int = 0


@dataclass(frozen=True, slots=True)
class _Column:
    """A geometry column: its name for people, its declared type, and its names in SQL."""

    subject: str
    table: str
    name: str
    declared: GeometryColumn

    @property
    def as_geometry(self) -> str:
        """The column as an SQL expression of type geometry."""
        if self.declared.geography:
            return f"{self.name}::geometry"
        return self.name


def judge_sample(
    relation: Facts, geometry: Facts, sample: Sample, quote: Quote
) -> Iterator[Finding]:
    """SRIDs and validity of the geometries in some rows."""
    declared = decode_typmod(
        geometry["name"], geometry["spatial"], geometry["typmod"], not_null=False
    )
    column = _Column(
        subject=f"{subject_of(relation)}.{geometry['name']}",
        table=quoted_table(relation, quote),
        name=quote(geometry["name"]),
        declared=declared,
    )
    if declared.srid == UNKNOWN:
        yield _judge_srids(column, sample.srids)
    if sample.pointless:
        yield Finding(
            "error",
            "geometries-without-points",
            column.subject,
            f"{sample.pointless} of {sample.rows} sampled geometries have rings or members but no "
            "point: PostGIS 3.5 crashes when an index receives one. Correct them before you "
            "follow any other advice for this column",
            _delete_pointless(column),
        )
    if sample.invalid:
        yield Finding(
            "warning",
            "invalid-geometries",
            column.subject,
            f"{sample.invalid} of {sample.rows} sampled geometries are invalid: spatial filters "
            "may miss or refuse them",
            _make_valid(column),
        )


def _judge_srids(column: _Column, srids: tuple[int, ...]) -> Finding:
    """The finding for a column without a declared SRID."""
    if len(srids) > 1:
        listed = ", ".join(map(str, sorted(srids)))
        return Finding(
            "warning",
            "mixed-srids",
            column.subject,
            f"its rows have several SRIDs: {listed}",
            _transform_all(column),
        )
    srid = srids[0] if srids else 0
    in_rows, sql = "", None
    if srid:
        in_rows = f" ({srid} in its rows)"
        sql = _set_srid(column, srid)
    return Finding(
        "warning",
        "unknown-srid",
        column.subject,
        f"the column has no SRID{in_rows}: each bbox query reads the SRID of every row",
        sql,
    )


def _delete_pointless(column: _Column) -> str:
    """The command that sets geometries without points to NULL; they contain no information."""
    value = column.as_geometry
    condition = f"NOT ST_IsEmpty({value}) AND ST_NPoints({value}) = 0"
    return f"UPDATE {column.table} SET {column.name} = NULL WHERE {condition}"  # noqa: S608


def _make_valid(column: _Column) -> str:
    """The command that repairs invalid geometries.

    ST_MakeValid may return another type, so the command keeps what fits the type of the column.
    """
    value = column.as_geometry
    repaired = f"ST_MakeValid({value})"
    dimension = _DIMENSIONS.get(column.declared.type)
    if dimension is not None:
        repaired = f"ST_Multi(ST_CollectionExtract({repaired}, {dimension}))"
    if column.declared.geography:
        repaired += "::geography"
    assignment = f"{column.name} = {repaired}"
    return f"UPDATE {column.table} SET {assignment} WHERE NOT ST_IsValid({value})"  # noqa: S608


def _set_srid(column: _Column, srid: int) -> str:
    """The command that declares the SRID; it fails if a row has another one."""
    column_type = f"geometry({column.declared.type.capitalize()}, {srid})"
    return f"ALTER TABLE {column.table} ALTER COLUMN {column.name} TYPE {column_type}"


def _transform_all(column: _Column) -> str:
    """The command that transforms rows of several SRIDs to WGS 84, and declares it."""
    return f"{_set_srid(column, WGS84_SRID)} USING ST_Transform({column.name}, {WGS84_SRID})"

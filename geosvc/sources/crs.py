"""The CRS of the features of a file: what they name, what --srid says, and the default."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from geosvc.model.crs import WGS84
from geosvc.sources.source_error import SourceError
from geosvc.values.named_crs import NamedCrs, UnknownCrs, may_name, parse_named_crs

_UNSET = msgspec.UNSET
_HINT = "name it with --srid"


class CrsMembers(msgspec.Struct, gc=False):
    """The members of a feature or a geometry that name its CRS."""

    crs: Any = _UNSET
    coordRefSys: Any = _UNSET  # noqa: N815 - the member's name


@dataclass(slots=True)
class SeenCrs:
    """The CRSs that the features of one file name.

    Attributes:
        file: its name, for a person.
        srid: the option --srid.
        named: the first feature that names each CRS.
        unnamed: the first feature that names no CRS, so that the collection's CRS counts.
        faults: what prevents a load without --srid; the first of each kind.
    """

    file: str
    srid: int | None
    named: dict[NamedCrs, int] = field(default_factory=dict)
    unnamed: int | None = None
    faults: dict[str, None] = field(default_factory=dict)

    def add(
        self,
        number: int,
        feature: CrsMembers,
        geometry: CrsMembers,
        parts: bytes,
        *,
        has_place: bool,
    ) -> None:
        """Adds a feature that has a geometry.

        Args:
            number: of the feature in the file, from 0.
            parts: the text of the geometries of a GeometryCollection.
            has_place: whether the geometry is JSON-FG's `place`, for which `coordRefSys` counts.
        """
        parts_may_name = may_name(parts)
        if (
            not parts_may_name
            and feature.crs is _UNSET
            and feature.coordRefSys is _UNSET
            and geometry.crs is _UNSET
            and geometry.coordRefSys is _UNSET
        ):
            if self.unnamed is None:
                self.unnamed = number
            return
        member = _member_of(feature, geometry, has_place=has_place)
        if member is not _UNSET:
            self._add_member(number, member)
        elif self.unnamed is None:
            self.unnamed = number
        if parts_may_name:
            for part in _parts_of(parts):
                if part.crs is not _UNSET:
                    self._add_member(number, part.crs)

    def _add_member(self, number: int, member: Any) -> None:
        named = self._parse(f"feature {number}", member)
        if named is not None:
            self.named.setdefault(named, number)

    def _parse(self, owner: str, member: Any) -> NamedCrs | None:
        """The CRS that a member names; None, and a fault, when it names no known CRS."""
        try:
            named = parse_named_crs(member)
        except UnknownCrs as error:
            self.faults.setdefault(f"{owner} names an unknown CRS, {error}")
            return None
        if named is None:
            self.faults.setdefault(
                f"the member crs of {owner} is null, so that no CRS can be assumed"
            )
        return named

    def resolve(self, members: dict[str, Any]) -> int:
        """The SRID of all features.

        Args:
            members: of the collection.
        Raises: SourceError when the features are in several CRSs, or in one that is not known.
        """
        of_collection = None
        if "crs" in members:
            of_collection = self._parse("the collection", members["crs"])
        elif "coordRefSys" in members:
            of_collection = self._parse("the collection", members["coordRefSys"])
        if self.srid is None and self.faults:
            fault = next(iter(self.faults))
            raise SourceError(f"{self.file}: {fault}: {_HINT}")
        owners: dict[Any, str] = {}
        for named, number in self.named.items():
            owners[named.srid] = f"feature {number}"
        if of_collection is not None and (self.unnamed is not None or not owners):
            owners.setdefault(of_collection.srid, "the collection")
        elif owners and self.unnamed is not None and self.srid is None:
            owners.setdefault(WGS84, f"feature {self.unnamed}, which names none,")
        return self._only_srid(owners)

    def _only_srid(self, owners: dict[Any, str]) -> int:
        """The only SRID of a file.

        Args:
            owners: by SRID, who is in that CRS, for a person.
        Raises: SourceError.
        """
        if len(owners) > 1:
            (first, owner), (second, other_owner), *_ = owners.items()
            raise SourceError(
                f"{self.file}: {owner} is in EPSG:{first} and {other_owner} is in EPSG:{second}: "
                "a file is in one CRS"
            )
        named = next(iter(owners), None)
        check_srid_option(self.file, named, self.srid)
        return int(named or self.srid or WGS84)


def check_srid_option(file: str, named: int | None, srid: int | None) -> None:
    """Refuses an option --srid that contradicts the file.

    Args:
        named: the SRID that the file names.
        srid: the option.
    Raises: SourceError.
    """
    if named is not None and srid is not None and named != srid:
        raise SourceError(
            f"{file}: names EPSG:{named} as its CRS, and --srid says {srid}: leave --srid out"
        )


def _member_of(feature: CrsMembers, geometry: CrsMembers, *, has_place: bool) -> Any:
    """The member that names the CRS of a geometry: `crs`, unless JSON-FG's `coordRefSys` counts."""
    candidates = [geometry.crs, feature.crs, feature.coordRefSys]
    if has_place:
        candidates = [geometry.coordRefSys, feature.coordRefSys, geometry.crs, feature.crs]
    for member in candidates:
        if member is not _UNSET:
            return member
    return _UNSET


class _Part(msgspec.Struct, gc=False):
    crs: Any = _UNSET
    geometries: msgspec.Raw = msgspec.Raw(b"[]")


_parts_decoder = msgspec.json.Decoder(list[_Part])


def _parts_of(text: bytes) -> Iterator[_Part]:
    """The members of a GeometryCollection, and of the collections in it."""
    try:
        parts = _parts_decoder.decode(text)
    except msgspec.DecodeError:
        return  # the reader of the geometry reports it
    for part in parts:
        yield part
        yield from _parts_of(bytes(part.geometries))

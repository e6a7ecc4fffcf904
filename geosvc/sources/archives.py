"""Archives and compressed files, unpacked into a temporary folder: zip, and gzip for GDAL."""

import gzip
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from geosvc.sources.source_error import SourceError

# Of the files in an archive, only those of one group are read: the first group of which there are
# files. A table beside a layer, for example, describes the layer.
_GROUPS = (
    frozenset(
        {
            ".shp",
            ".gpkg",
            ".fgb",
            ".gdb",
            ".gml",
            ".kml",
            ".kmz",
            ".gpx",
            ".tab",
            ".mif",
            ".dxf",
            ".sqlite",
            ".topojson",
        }
    ),
    frozenset({".geojson", ".geojsons", ".geojsonl", ".geojsonseq", ".ndjson", ".jsonl"}),
    frozenset({".json", ".csv", ".tsv"}),
    frozenset({".zip"}),
    # tables, as of Darwin Core and GTFS; and documentation of the others
    frozenset({".txt", ".psv"}),
)
_GZIPPED_FOR_GDAL = _GROUPS[0] - {".shp", ".gdb"} | {".zip"}
_OTHER_ARCHIVES = frozenset({".tar", ".tgz", ".tbz", ".txz", ".7z", ".rar"})
_OF_SEVERAL_FILES = frozenset({".shp", ".gdb", ".tab", ".mif"})
_DOCUMENTATION = frozenset({"readme", "license", "licence", "citation", "changelog"})
_MAX_DEPTH = 3
_LISTED_NAMES = 20
_DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    UnicodeDecodeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A file to read.

    Attributes:
        layer: the layer of the file; None: the file was chosen by the name.
        folder: where it was unpacked to; None: it was not unpacked.
    """

    path: Path
    layer: str | None
    folder: TemporaryDirectory[str] | None = None


def unpack(path: Path, layer: str | None) -> Unpacked:
    """The file to read: of an archive the only one, or the one with the name of the layer.

    Raises: SourceError.
    """
    suffix = path.suffix.lower()
    last_suffixes = [part.lower() for part in path.suffixes[-2:]]
    if suffix in _OTHER_ARCHIVES or ".tar" in last_suffixes:
        raise SourceError(
            f"{path.name}: is an archive that is not read: unpack it, or make it a zip"
        )
    if suffix == ".gml" and path.is_file():
        return _link(path, layer)
    is_zip = suffix == ".zip" and path.is_file()
    inner_suffix = Path(path.stem).suffix.lower()
    is_gzip = suffix == ".gz" and inner_suffix in _GZIPPED_FOR_GDAL
    if not is_zip and not is_gzip:
        return Unpacked(path, layer)
    folder = _make_folder()
    try:
        return _unpack_nested(path, layer, folder)
    except SourceError:
        folder.cleanup()
        raise


def _make_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="geosvc-load-", ignore_cleanup_errors=True)


def _unpack_nested(path: Path, layer: str | None, folder: TemporaryDirectory[str]) -> Unpacked:
    """The file in an archive, which may lie in an archive itself."""
    found = path
    for depth in range(_MAX_DEPTH):
        target = Path(folder.name) / str(depth)
        if found.suffix.lower() == ".gz":
            found = _inflate(found, target)
        if found.suffix.lower() != ".zip":
            return Unpacked(found, layer, folder)
        found, layer = _extract(found, layer, target)
    if found.suffix.lower() == ".zip":
        raise SourceError(f"{path.name}: holds archives within archives: unpack it")
    return Unpacked(found, layer, folder)


def _link(path: Path, layer: str | None) -> Unpacked:
    """A GML file in a folder of its own, by symbolic links.

    GDAL writes a guessed schema (.gfs) beside the file, and trusts it when it reads the file again.
    """
    folder = _make_folder()
    target = Path(folder.name)
    for linked in (path, path.with_suffix(".xsd"), path.with_suffix(".gfs")):
        if linked.exists():
            link = target / linked.name
            link.symlink_to(linked.absolute())
    return Unpacked(target / path.name, layer, folder)


def _inflate(path: Path, target: Path) -> Path:
    target.mkdir()
    inflated = target / path.stem
    try:
        with gzip.open(path) as content, inflated.open("wb") as file:
            shutil.copyfileobj(content, file)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise SourceError(f"{path.name}: the compressed file is corrupt or cut off") from None
    except OSError as error:
        raise SourceError(f"{path.name}: {error.strerror or type(error).__name__}") from None
    return inflated


def _extract(path: Path, layer: str | None, target: Path) -> tuple[Path, str | None]:
    """Extracts the file of features, and the files that belong to it.

    Returns: the file; the layer that is still to be chosen.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
            chosen, layer = _choose(path.name, _candidates(names), layer)
            for name in _belonging(names, chosen):
                archive.extract(name, target)
    except _DAMAGED_ZIP:
        raise SourceError(f"{path.name}: is no zip archive, or corrupt or cut off") from None
    except RuntimeError:  # zipfile raises it for a missing password
        raise SourceError(f"{path.name}: is encrypted: unpack it") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SourceError(f"{path.name}: cannot be unpacked: {reason}") from None
    # zipfile leaves these parts out
    parts = [part for part in chosen.parts if part not in ("/", "..", ".")]
    found = target.joinpath(*parts)
    if not found.exists():
        raise SourceError(f"{path.name}: holds {chosen}, which cannot be unpacked under that name")
    return found, layer


def _belonging(names: Sequence[str], chosen: PurePosixPath) -> list[str]:
    """The names of the chosen file; of all files in its folder where a layer has several files."""
    has_several_files = chosen.suffix.lower() in _OF_SEVERAL_FILES
    folder = f"{chosen.parent}/"
    if folder == "./":
        folder = ""
    belonging: list[str] = []
    for name in names:
        if name.endswith("/") or not name.startswith(folder):
            continue
        if has_several_files or PurePosixPath(name) == chosen:
            belonging.append(name)
    return belonging


def _candidates(names: Sequence[str]) -> list[PurePosixPath]:
    """The files of features: those of the first of _GROUPS that has any."""
    readable: dict[PurePosixPath, None] = {}
    for name in names:
        path = PurePosixPath(name)
        if path.name.startswith(".") or path.stem.lower() in _DOCUMENTATION:
            continue
        geodatabase = _geodatabase_of(path)
        if geodatabase is not None:
            readable[geodatabase] = None
        elif not name.endswith("/"):
            readable[path] = None
    for group in _GROUPS:
        found = [path for path in readable if path.suffix.lower() in group]
        if found:
            return found
    return []


def _geodatabase_of(path: PurePosixPath) -> PurePosixPath | None:
    """The folder .gdb that a file lies in."""
    for folder in path.parents:
        if folder.suffix.lower() == ".gdb":
            return folder
    return None


def _choose(
    file: str, found: Sequence[PurePosixPath], layer: str | None
) -> tuple[PurePosixPath, str | None]:
    """The only file, or the one with the name of the layer.

    Returns: the file; the layer that is still to be chosen.
    """
    if not found:
        raise SourceError(f"{file}: holds no file of features")
    named: list[PurePosixPath] = []
    if layer is not None:
        named = [path for path in found if _has_name(path, layer)]
    if len(named) == 1:
        return named[0], None
    if len(found) == 1:
        return found[0], layer
    listed = ", ".join(map(str, found[:_LISTED_NAMES]))
    raise SourceError(f"{file}: holds several files, choose one by --layer: {listed}")


def _has_name(path: PurePosixPath, name: str) -> bool:
    """Whether a file is called so, with its suffix or folder or without, in any case."""
    names = (path.stem, path.name, str(path))
    return name.lower() in [each.lower() for each in names]

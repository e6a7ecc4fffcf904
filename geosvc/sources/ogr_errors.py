"""Errors and warnings of GDAL and pyogrio, as errors and notes about the file."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from geosvc.sources.file_reader import ENCODING_HINT
from geosvc.sources.notes import Notes
from geosvc.sources.source_error import SourceError

_UNKNOWN_FORMAT = (
    "is of no kind that can be read, or corrupt; available: GeoJSON, CSV, GeoPackage, Shapefile, "
    "FlatGeobuf, GML, KML, GPX and the other formats of GDAL"
)
_PLAIN_MESSAGES = {
    "not recognized as being in a supported file format": _UNKNOWN_FORMAT,
    # a driver of GDAL needs a library that is not installed
    "cannot open shared object file": _UNKNOWN_FORMAT,
    "file is not a database": _UNKNOWN_FORMAT,
    "database disk image is malformed": "is corrupt, or cut off",
    "SHAPE_RESTORE_SHX": (
        "its index (.shx) is missing: a shapefile is .shp, .shx and .dbf together"
    ),
}
"""A part of GDAL's message: what a person reads instead of the message."""

_PYOGRIO_ERRORS = (
    "DataSourceError",
    "DataLayerError",
    "FieldError",
    "GeometryError",
    "FeatureError",
    "CRSError",
)


class InvalidDate(SourceError):
    """A date or a time that no calendar has. pyogrio cannot read the field as dates."""


class UndecodableText(SourceError):
    """A text that is in another encoding."""


@contextmanager
def source_errors(pyogrio: ModuleType, path: Path, notes: Notes) -> Iterator[None]:
    """Raises what fails in the block as a SourceError; adds the warnings of the block to the notes.

    Raises: InvalidDate, UndecodableText, SourceError.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except UnboundLocalError:  # pyogrio raises it for a CRS that is not a text
        raise SourceError(
            f"{path.name}: its CRS cannot be read: remove it (.prj), and name the CRS with --srid"
        ) from None
    except (UnicodeError, LookupError):
        raise UndecodableText(
            f"{path.name}: the texts are in another encoding: {ENCODING_HINT}"
        ) from None
    except ValueError as error:
        raise _from_value_error(path, error) from None
    except _errors_of(pyogrio) as error:
        raise SourceError(f"{path.name}: {_plain_message(path, str(error))}") from None
    except OSError as error:
        raise SourceError(f"{path.name}: {error.strerror or type(error).__name__}") from None
    for warning in caught:
        notes.add(str(warning.message))


def _errors_of(pyogrio: ModuleType) -> tuple[type[Exception], ...]:
    """The exceptions that pyogrio raises for files. Not every release has all of them."""
    errors = pyogrio.errors
    return tuple(getattr(errors, name) for name in _PYOGRIO_ERRORS if hasattr(errors, name))


def _from_value_error(path: Path, error: ValueError) -> SourceError:
    text = str(error)
    # the words of Python's calendar
    if "out of range" in text or "must be in" in text:
        return InvalidDate(f"{path.name}: a day or a time that no calendar has: {text}")
    return SourceError(f"{path.name}: {text}")


def _plain_message(path: Path, message: str) -> str:
    """The message in plain words, without the folder of the file."""
    message = message.replace(str(path), path.name).replace(f"{path.parent}/", "")
    for part, plain in _PLAIN_MESSAGES.items():
        if part in message:
            return plain
    return message

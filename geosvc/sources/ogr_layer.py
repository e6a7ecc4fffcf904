"""One layer of a file that GDAL reads: which layer, its metadata, and reads of its features."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geosvc.errors import StartError
from geosvc.sources.dbf import find_sibling, gdal_name, guess_encoding
from geosvc.sources.file_reader import ENCODING_HINT
from geosvc.sources.notes import Notes
from geosvc.sources.ogr_errors import source_errors
from geosvc.sources.ogr_guesses import GDAL_OPTIONS
from geosvc.sources.source_error import SourceError

_DRIVERS_OF_ANY_ENCODING = frozenset(
    {
        "ESRI Shapefile",
        "MapInfo File",
        "DXF",
        "DGN",
        "S57",
        "Selafin",
        "OGR_GMT",
        "AVCE00",
        "AVCBin",
    }
)


def import_pyogrio() -> ModuleType:
    """The package pyogrio, with the options of GDAL set. Raises: StartError when it is missing."""
    try:
        import pyogrio  # noqa: PLC0415 - an extra
        import pyogrio.raw  # noqa: PLC0415 - an extra
    except ImportError:
        raise StartError(
            "this kind of file needs a package that is not installed: pip install pyogrio"
        ) from None
    pyogrio.set_gdal_config_options(GDAL_OPTIONS)
    # It has no types, and may not be installed.
    return pyogrio  # type: ignore[no-any-return,unused-ignore]


class OgrLayer:
    """One layer of a file.

    Args:
        name: of the layer; needed when several have features.
        encoding: of the texts, for files that do not say.

    Attributes:
        bytes: the size of the file.
        metadata: what `pyogrio.read_info` returns for the layer.
    Raises: SourceError; StartError when pyogrio is missing.
    """

    def __init__(self, path: Path, name: str | None, encoding: str | None, notes: Notes) -> None:
        self._pyogrio = import_pyogrio()
        self.path = path
        self._notes = notes
        self._options: dict[str, str] = {}
        with self.errors():
            self.bytes = path.stat().st_size
            self.name = name or self._only_layer()
            self.metadata: dict[str, Any] = self._read_info(self.name)
            self._choose_encoding(encoding)

    @property
    def driver(self) -> str:
        """GDAL's name of the format."""
        return str(self.metadata["driver"])

    @property
    def fields(self) -> list[str]:
        """The names of the properties."""
        return [str(name) for name in self.metadata["fields"]]

    @property
    def feature_count(self) -> int:
        """How many features the layer has."""
        return int(self.metadata["features"])

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raises what fails in the block as a SourceError."""
        with source_errors(self._pyogrio, self.path, self._notes):
            yield

    def layer_count(self) -> int:
        """How many layers the file has."""
        return len(self._pyogrio.list_layers(self.path))

    def locate(self, number: int) -> str:
        """Names a feature, for a person."""
        return f"{self.path.name}: feature {number}"

    def prj_text(self) -> str | None:
        """The text of the .prj of a shapefile; None for other formats, and when it is empty."""
        if self.driver != "ESRI Shapefile":
            return None
        prj = find_sibling(self.path, ".prj")
        if prj is None:
            return None
        return prj.read_text("latin-1").strip(" \t\r\n\0") or None

    def read(self, fields: Sequence[str], first: int, size: int) -> Any:
        """Reads `size` features by pyogrio: metadata, fids, WKB and the values of each field.

        Raises: InvalidDate, UndecodableText, SourceError.
        """
        return self._read_features(fields, first, size, self._options)

    def refuse_undecodable_text(self, fields: Sequence[str], first: int, size: int) -> None:
        """Raises: SourceError, naming the first text that is in another encoding."""
        encoding = self._options.get("encoding") or str(self.metadata["encoding"])
        # ISO-8859-1 takes any byte
        options = {"encoding": "ISO-8859-1"}
        metadata, _, _, values = self._read_features(fields, first, size, options)
        for name, texts in zip(metadata["fields"], values, strict=True):
            for index, text in enumerate(texts.tolist()):
                if isinstance(text, str) and not _decodes(text, encoding):
                    raise SourceError(
                        f"{self.locate(first + index)}: {name} is not {encoding}: {ENCODING_HINT}"
                    )

    def read_dates_as_texts(self, field: str, first: int, size: int) -> NDArray[Any]:
        """A field of dates as texts or None, since some of the dates are not in the calendar."""
        column = field.replace('"', r"\"")
        table = self.name.replace('"', r"\"")
        # GDAL executes it, and it reads only the file
        sql = f'SELECT CAST("{column}" AS character(40)) FROM "{table}"'  # noqa: S608
        with self.errors():
            _, _, _, (texts,) = self._pyogrio.raw.read(
                self.path,
                sql=sql,
                sql_dialect="OGRSQL",
                skip_features=first,
                max_features=size,
                read_geometry=False,
                **self._options,
            )
        dates: list[str | None] = []
        for text in texts:
            date = text
            if text is not None:
                date = text.replace("/", "-")
            dates.append(date)
        return np.array(dates, dtype=object)

    def read_values(self, field: str, fids: NDArray[np.int64]) -> list[Any]:
        """The values of a field of the features with these ids. Raises: SourceError."""
        with self.errors():
            _, _, _, (values,) = self._pyogrio.raw.read(
                self.path,
                layer=self.name,
                columns=[field],
                read_geometry=False,
                fids=fids,
                **self._options,
            )
        numbers: list[Any] = values.tolist()
        return numbers

    def has_invalid_date(self, field: str) -> bool:
        """Whether a field of dates has a date that is not in the calendar."""
        try:
            self._pyogrio.raw.read(
                self.path,
                layer=self.name,
                columns=[field],
                read_geometry=False,
                datetime_as_string=True,
                **self._options,
            )
        except ValueError:
            return True
        return False

    def _read_info(self, layer: str) -> dict[str, Any]:
        found = self._pyogrio.read_info(self.path, layer=layer, force_feature_count=True)
        return dict(found)

    def _read_features(
        self, fields: Sequence[str], first: int, size: int, options: Mapping[str, str]
    ) -> Any:
        with self.errors():
            return self._pyogrio.raw.read(
                self.path,
                layer=self.name,
                columns=list(fields),
                skip_features=first,
                max_features=size,
                return_fids=True,
                datetime_as_string=True,
                **options,
            )

    def _only_layer(self) -> str:
        """The name of the only layer, or of the only one that has features."""
        layers: list[str] = []
        for name, geometry_type in self._pyogrio.list_layers(self.path):
            if geometry_type is not None:
                layers.append(str(name))
        if not layers:
            raise SourceError(
                f"{self.path.name}: no layer has geometries: "
                "a table is loaded as CSV, with columns lon and lat"
            )
        if len(layers) == 1:
            return layers[0]
        # GPX always has five layers
        filled = [name for name in layers if self._read_info(name)["features"]]
        if len(filled) == 1:
            return filled[0]
        raise SourceError(
            f"{self.path.name}: has several layers, choose one by --layer: {', '.join(layers)}"
        )

    def _choose_encoding(self, encoding: str | None) -> None:
        """Sets the encoding of the texts, and notes a guess.

        A shapefile need not name its encoding. GDAL assumes ISO-8859-1 then; most of these files
        are windows-1252, which has more characters.
        """
        if encoding is not None:
            if self.driver in _DRIVERS_OF_ANY_ENCODING:
                self._options = {"encoding": gdal_name(encoding)}
                return
            self._notes.add(
                "its texts are UTF-8, as in all files of its kind: --encoding is for others"
            )
            return
        guessed = guess_encoding(self.path)
        if guessed is not None:
            self._options = {"encoding": guessed}
            self._notes.add(
                f"does not name the encoding of its texts: {guessed} is assumed, "
                "--encoding names another"
            )


def _decodes(text: str, encoding: str) -> bool:
    """Whether the bytes of a text that was read as ISO-8859-1 are texts of an encoding."""
    try:
        text.encode("latin-1").decode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True

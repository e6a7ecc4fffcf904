"""What an application that embeds geosvc adds to it (docs/embedding.md).

The registries of a service (routes, functions of filters, formats, conformance classes) are values.
`compose_registries` makes them of what geosvc has and of the extensions, and `app.build_app` gives
them to one application. So two applications in one process do not see each other's extensions.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from string import Formatter

from geosvc import __version__
from geosvc.errors import ExtensionError
from geosvc.filter_functions import (
    BUILT_IN_FUNCTIONS,
    RESERVED_NAMES,
    FilterFunction,
    FilterFunctions,
)
from geosvc.formats import BUILT_IN_FORMATS, FeatureFormats
from geosvc.handlers.conformance_classes import ALL_CLASSES
from geosvc.model.media_type import MediaType
from geosvc.model.queryables import ValueKind
from geosvc.openapi import DescribedParts, describe_api
from geosvc.openapi.operations import AddedOperation
from geosvc.query.feature_format import FeatureFormat
from geosvc.requests.items import ReadingRules
from geosvc.routes import PAGE_ROUTES, ROUTES, Route

FUNCTION_KINDS = frozenset(
    {
        ValueKind.TEXT,
        ValueKind.NUMBER,
        ValueKind.BOOLEAN,
        ValueKind.DATE,
        ValueKind.TIMESTAMP,
    }
)
"""The kinds of values that functions of filters take and return."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_TOKEN = re.compile(r"[a-z0-9][a-z0-9_-]*")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Extension:
    """What an application that embeds geosvc adds to one service.

    Attributes:
        routes: resources with handlers of the application. They go through the middleware of
            geosvc; those with `openapi` are part of the OpenAPI description.
        functions: that filters may call.
        formats: in which features can be requested: pages, exports, searches and, with
            `write_one`, single features.
        conformance: URIs of conformance classes that the additions fulfil.
        version: a part of the ETags of features. Change it whenever a function or a format gives
            another result than before.
    """

    routes: Sequence[Route] = ()
    functions: Sequence[FilterFunction] = ()
    formats: Sequence[FeatureFormat] = ()
    conformance: Sequence[str] = ()
    version: str = ""


@dataclass(frozen=True, slots=True)
class Registries:
    """What one service has: that of geosvc, and that of its extensions.

    Attributes:
        described: formats, functions, and the descriptions of the added routes.
        added_conformance: the conformance classes of extensions.
        code_version: of geosvc and of the extensions.
    """

    routes: tuple[Route, ...]
    described: DescribedParts
    added_conformance: tuple[str, ...]
    code_version: str

    @property
    def formats(self) -> FeatureFormats:
        """The formats of features."""
        return self.described.formats

    @property
    def functions(self) -> FilterFunctions:
        """The functions of filters."""
        return self.described.functions


@dataclass(slots=True)
class _Composition:
    """The registries while extensions are added, one after another."""

    routes: list[Route] = field(default_factory=lambda: [*ROUTES, *PAGE_ROUTES])
    operations: list[AddedOperation] = field(default_factory=list)
    functions: dict[str, FilterFunction] = field(
        default_factory=lambda: dict(BUILT_IN_FUNCTIONS.by_name)
    )
    formats: list[FeatureFormat] = field(default_factory=lambda: [*BUILT_IN_FORMATS.formats])
    conformance: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=lambda: [__version__])

    def add(self, extension: Extension) -> None:
        """Raises: ExtensionError."""
        for route in extension.routes:
            self._add_route(route)
        for function in extension.functions:
            self._add_function(function)
        for feature_format in extension.formats:
            self._add_format(feature_format)
        for uri in extension.conformance:
            if uri in ALL_CLASSES or uri in self.conformance:
                raise ExtensionError(f"conformance class {uri}: exists already")
            self.conformance.append(uri)
        if extension.version:
            self.versions.append(extension.version)

    def _add_route(self, route: Route) -> None:
        name = f"route {route.method} {route.path}"
        if route.method not in _METHODS:
            methods = ", ".join(sorted(_METHODS))
            raise ExtensionError(f"{name}: the method is none of {methods}")
        if not route.path.startswith("/"):
            raise ExtensionError(f"{name}: the path does not begin with /")
        for other in self.routes:
            if other.operation_id == route.operation_id:
                raise ExtensionError(
                    f"{name}: the operation id {route.operation_id!r} exists already"
                )
            if other.identity == route.identity:
                raise ExtensionError(f"{name}: exists already as {other.operation_id!r}")
        self.routes.append(route)
        if route.openapi is not None:
            method = route.method.lower()
            self.operations.append(
                AddedOperation(route.path, route.operation_id, method, route.openapi)
            )

    def _add_function(self, function: FilterFunction) -> None:
        name = f"function {function.name!r}"
        if _NAME.fullmatch(function.name) is None:
            raise ExtensionError(
                f"{name}: a name has lower-case letters, digits and _, and no digit first"
            )
        if function.name in RESERVED_NAMES:
            raise ExtensionError(f"{name}: is a word of CQL2")
        if function.name in self.functions:
            raise ExtensionError(f"{name}: exists already")
        for kind in (*function.takes, function.returns):
            if kind not in FUNCTION_KINDS:
                kinds = ", ".join(sorted(FUNCTION_KINDS))
                raise ExtensionError(f"{name}: takes or returns {kind}; possible: {kinds}")
        _check_placeholders(name, function)
        self.functions[function.name] = function

    def _add_format(self, feature_format: FeatureFormat) -> None:
        media_type = feature_format.media_type
        name = f"format {media_type.short!r}"
        for token in (media_type.short, *_short_names(media_type.aliases)):
            if _TOKEN.fullmatch(token) is None:
                raise ExtensionError(
                    f"{name}: the token {token!r} of f has other characters than a-z, 0-9, - and _"
                )
        if not media_type.content_type.startswith(media_type.essence):
            raise ExtensionError(
                f"{name}: the content type does not begin with {media_type.essence}"
            )
        taken = {name for other in self._media_types() for name in _names_of(other)}
        for each in _names_of(media_type):
            if each in taken:
                raise ExtensionError(f"{name}: {each!r} exists already")
        self.formats.append(feature_format)

    def _media_types(self) -> tuple[MediaType, ...]:
        return FeatureFormats.of(self.formats).items_types


def _names_of(media_type: MediaType) -> tuple[str, ...]:
    """All that `f` and Accept may choose a media type by."""
    return (media_type.short, media_type.essence, *media_type.aliases)


def _short_names(aliases: Iterable[str]) -> list[str]:
    return [alias for alias in aliases if "/" not in alias]


def _check_placeholders(name: str, function: FilterFunction) -> None:
    """Raises: ExtensionError where the SQL has not one placeholder for each argument."""
    placeholders = [field for _, field, _, _ in Formatter().parse(function.sql.template)]
    number = 0
    for placeholder in placeholders:
        if placeholder is None:
            continue
        if placeholder:
            raise ExtensionError(f"{name}: a placeholder of its SQL is {{}}, not {{{placeholder}}}")
        number += 1
    if number != len(function.takes):
        raise ExtensionError(
            f"{name}: its SQL has {number} placeholders,"
            f" and it takes {len(function.takes)} arguments"
        )


def compose_registries(extensions: Iterable[Extension] = ()) -> Registries:
    """The registries of a service with these extensions.

    Raises: ExtensionError where a name exists already, or an addition is not complete.
    """
    composition = _Composition()
    for extension in extensions:
        composition.add(extension)
    described = DescribedParts(
        FeatureFormats.of(composition.formats),
        FilterFunctions(composition.functions),
        tuple(composition.operations),
    )
    _check_description(described)
    return Registries(
        tuple(composition.routes),
        described,
        tuple(composition.conformance),
        " ".join(composition.versions),
    )


def _check_description(described: DescribedParts) -> None:
    """Raises: ExtensionError where the routes cannot be described.

    Each is described without the others, so that the text names the one at fault.
    """
    for operation in described.operations:
        name = f"route {operation.method.upper()} {operation.path}"
        if not operation.described.get("responses"):
            raise ExtensionError(f"{name}: its description has no responses")
        alone = DescribedParts(described.formats, described.functions, (operation,))
        try:
            describe_api("http://localhost", (), ReadingRules(), parts=alone)
        except KeyError as error:
            raise ExtensionError(
                f"{name}: its description refers to {error}, which is no component"
            ) from None
        except TypeError as error:
            raise ExtensionError(f"{name}: its description is not JSON: {error}") from None

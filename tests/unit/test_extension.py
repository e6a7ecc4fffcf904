"""What extensions add to the registries of a service, and what they are refused for."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from geosvc.errors import ExtensionError
from geosvc.extension import Extension, compose_registries
from geosvc.filter_functions import BUILT_IN_FUNCTIONS, FilterFunction
from geosvc.formats import BUILT_IN_FORMATS, CSV_FORMAT
from geosvc.model.media_type import HTML, MediaType
from geosvc.model.queryables import ValueKind
from geosvc.openapi import describe_api
from geosvc.requests.items import ReadingRules
from geosvc.routes import PAGE_ROUTES, ROUTES, Route
from geosvc.sql.compose import SQL
from tests.unit.samples import collection, column

TEXT = ValueKind.TEXT
FIRST = FilterFunction("first", "The first character.", (TEXT,), TEXT, SQL("left({}, 1)"))
TSV_TYPE = MediaType("text/tab-separated-values", "tsv", "text/tab-separated-values", "TSV", "tsv")
TSV = replace(CSV_FORMAT, media_type=TSV_TYPE)


async def _answer(request: web.Request) -> web.Response:
    return web.Response()


DESCRIPTION = {"summary": "Hello", "responses": {"200": {"description": "Hello."}}}
HELLO = Route("GET", "/hello/{name}", _answer, "getHello", openapi=DESCRIPTION)


def test_a_service_without_extensions_has_what_geosvc_has() -> None:
    registries = compose_registries()
    assert registries.routes == (*ROUTES, *PAGE_ROUTES)
    assert registries.formats == BUILT_IN_FORMATS
    assert registries.functions.by_name == BUILT_IN_FUNCTIONS.by_name
    assert registries.added_conformance == ()


def test_extensions_add_behind_what_is_there() -> None:
    uri = "https://example.org/conf/first"
    extensions = (
        Extension(functions=(FIRST,), version="7"),
        Extension(routes=(HELLO,), formats=(TSV,), conformance=(uri,)),
    )
    registries = compose_registries(extensions)
    assert registries.routes[-1] is HELLO
    assert registries.functions.find("FIRST") is FIRST
    assert registries.formats.find(TSV_TYPE) is TSV
    assert registries.formats.items_types[-2:] == (TSV_TYPE, HTML)
    assert TSV_TYPE not in registries.formats.item_types
    assert registries.added_conformance == (uri,)
    assert registries.code_version.endswith(" 7")
    assert registries.code_version != compose_registries(extensions[1:]).code_version


def test_registries_do_not_share_what_is_added() -> None:
    compose_registries((Extension(functions=(FIRST,), formats=(TSV,)),))
    plain = compose_registries()
    assert plain.functions.find("first") is None
    assert TSV_TYPE not in plain.formats.items_types
    assert BUILT_IN_FUNCTIONS.find("first") is None


def test_a_route_of_collections_is_described_for_each_of_them() -> None:
    path = "/collections/{collectionId}/hello/{name}"
    route = replace(HELLO, path=path)
    parts = compose_registries((Extension(routes=(route,)),)).described
    countries = collection(column("id", "int4"), key=("id",), name="countries")
    described = describe_api("http://localhost", (countries,), ReadingRules(), parts=parts)
    operation = described["paths"]["/collections/countries/hello/{name}"]["get"]
    assert operation["operationId"] == "getHello.countries"
    assert operation["tags"] == ["countries"]
    (parameter,) = operation["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("name", "path", True)
    assert path not in described["paths"]


def _media_type(**changes: Any) -> Extension:
    return Extension(formats=(replace(TSV, media_type=replace(TSV_TYPE, **changes)),))


def _function(**changes: Any) -> Extension:
    return Extension(functions=(replace(FIRST, **changes),))


def _route(**changes: Any) -> Extension:
    return Extension(routes=(replace(HELLO, **changes),))


@pytest.mark.parametrize(
    ("extension", "message"),
    [
        (_function(name="lower"), "function 'lower': exists already"),
        (Extension(functions=(FIRST, FIRST)), "function 'first': exists already"),
        (_function(name="First"), "function 'First': a name has lower-case letters"),
        (_function(name="s_within"), "function 's_within': is a word of CQL2"),
        (_function(name="between"), "function 'between': is a word of CQL2"),
        (
            _function(takes=()),
            "function 'first': its SQL has 1 placeholders, and it takes 0 arguments",
        ),
        (
            _function(sql=SQL("left({a}, 1)")),
            "function 'first': a placeholder of its SQL is {}, not {a}",
        ),
        (
            _function(takes=(ValueKind.GEOMETRY,)),
            "function 'first': takes or returns a geometry; possible: a date, a number",
        ),
        (_media_type(short="csv"), "format 'csv': 'csv' exists already"),
        (_media_type(short="html"), "format 'html': 'html' exists already"),
        (_media_type(short="json"), "format 'json': 'json' exists already"),
        (_media_type(aliases=("application/json",)), "format 'tsv': 'application/json' exists"),
        (_media_type(essence="text/csv", content_type="text/csv"), "'text/csv' exists already"),
        (_media_type(short="a b"), "format 'a b': the token 'a b' of f has other characters"),
        (_media_type(content_type="text/plain"), "the content type does not begin with text/tab"),
        (Extension(formats=(TSV, TSV)), "format 'tsv': 'tsv' exists already"),
        (_route(operation_id="getFeatures"), "the operation id 'getFeatures' exists already"),
        (_route(path="/functions"), "route GET /functions: exists already as 'getFunctions'"),
        (_route(path="/functions/"), "route GET /functions/: exists already as 'getFunctions'"),
        (
            _route(path="/collections/{c}/items"),
            "route GET /collections/{c}/items: exists already as 'getFeatures'",
        ),
        (_route(path="hello"), "route GET hello: the path does not begin with /"),
        (_route(method="get"), "route get /hello/{name}: the method is none of DELETE, GET"),
        (_route(openapi={"summary": "Hello"}), "its description has no responses"),
        (
            _route(openapi={"responses": {"200": {"$ref": "#/components/responses/Nothing"}}}),
            "its description refers to 'Nothing', which is no component",
        ),
        (
            _route(openapi={**DESCRIPTION, "tags": {"a", "b"}}),
            "route GET /hello/{name}: its description is not JSON",
        ),
        (
            Extension(conformance=("http://www.opengis.net/spec/cql2/1.0/conf/functions",)),
            "conformance class http://www.opengis.net/spec/cql2/1.0/conf/functions: exists already",
        ),
    ],
)
def test_an_addition_that_is_not_possible_is_refused(extension: Extension, message: str) -> None:
    with pytest.raises(ExtensionError) as refused:
        compose_registries((extension,))
    assert message in str(refused.value)

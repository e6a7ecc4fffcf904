"""What every OpenAPI description of the service keeps."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from openapi_spec_validator import OpenAPIV30SpecValidator

REFERENCE = re.compile(r'"#/components/(\w+)/([^"/]+)')


def operations(api: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def components(api: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(kind, name) of every component."""
    return {(kind, name) for kind, named in api["components"].items() for name in named}


def arrays_of_anything(node: Any) -> Iterator[Any]:
    """Schemas of arrays that do not say of what, which OpenAPI 3.0 forbids."""
    if isinstance(node, dict):
        if node.get("type") == "array" and "items" not in node:
            yield node
        for each in node.values():
            yield from arrays_of_anything(each)
    elif isinstance(node, list):
        for each in node:
            yield from arrays_of_anything(each)


def check_description(api: Mapping[str, Any]) -> None:
    """What every description keeps: it is valid, says something of everything, and has nothing that
    nobody uses.
    """
    assert list(OpenAPIV30SpecValidator(dict(api)).iter_errors()) == []
    assert list(arrays_of_anything(api)) == []
    assert set(REFERENCE.findall(orjson.dumps(api).decode())) == components(api)
    assert all(each["description"] for each in api["tags"])
    for method, path, operation in operations(api):
        assert operation["summary"], (method, path)
        assert operation["description"].endswith("."), (method, path)
        assert operation["tags"], (method, path)
        for each in operation["parameters"]:
            assert "$ref" in each or each["description"], (method, path, each)

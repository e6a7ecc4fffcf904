"""The methods that the items of a collection allow. Source: RFC 9110 9 and 10.2.1."""

from aiohttp import hdrs

from geosvc.model.collection import Collection

READING_METHODS = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)


def items_methods(collection: Collection) -> tuple[str, ...]:
    """The methods of `/items`."""
    if collection.insertable:
        return (*READING_METHODS, hdrs.METH_POST)
    return READING_METHODS


def item_methods(collection: Collection) -> tuple[str, ...]:
    """The methods of one item."""
    methods = list(READING_METHODS)
    if collection.key and collection.updatable:
        methods += [hdrs.METH_PUT, hdrs.METH_PATCH]
    if collection.key and collection.deletable:
        methods.append(hdrs.METH_DELETE)
    return tuple(methods)

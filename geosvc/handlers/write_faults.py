"""Names the property of a feature that the database refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from geosvc.bodies.feature_faults import value_at_fault
from geosvc.bodies.raw_feature import Posted
from geosvc.database.writes.constraint_faults import RuleNames
from geosvc.errors import Conflict, InvalidFeature
from geosvc.handlers.write_requests import WriteRequest
from geosvc.http.keys import DATABASE, OFFLOAD


@asynccontextmanager
async def naming_the_fault(
    request: web.Request,
    write: WriteRequest,
    posted: Posted,
) -> AsyncIterator[None]:
    """Adds the property to an error of the database: by the rule that it breaks, or by its value.

    Args:
        posted: the one feature that is written.
    Raises: InvalidFeature, Conflict.
    """
    collection = write.collection
    try:
        yield
    except (InvalidFeature, Conflict) as error:
        await RuleNames(request.app[DATABASE], collection).name(error)
        is_named = error.pointer is not None or error.constraint is not None
        if isinstance(error, Conflict) or is_named:
            raise
        properties = posted.properties[0]
        offload = request.app[OFFLOAD]
        fault = await offload.run(len(properties), value_at_fault, collection, properties)
        raise fault or error from error

"""One connection at the start, for those who rather not serve without a database."""

import asyncpg

from geosvc.database.connection import connect_arguments
from geosvc.database.sqlstate import DATABASE_ERRORS
from geosvc.database.target import target_of, why_unreachable
from geosvc.errors import StartError
from geosvc.settings import Settings
from geosvc.sql.files import load_statement


async def require_database(settings: Settings) -> None:
    """Connects once. Raises: StartError, with where to and the reason, when that fails or there is no PostGIS."""
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    try:
        connection = await asyncpg.connect(**connect_arguments(settings, url))
    except (*DATABASE_ERRORS, ValueError) as error:
        raise StartError(f"cannot connect to {target_of(url)}: {why_unreachable(error)}") from None
    try:
        schema = await connection.fetchval(load_statement("postgis_schema").text)
    except DATABASE_ERRORS as error:
        raise StartError(f"cannot read {target_of(url)}: {why_unreachable(error)}") from None
    finally:
        connection.terminate()
    if schema is None:
        raise StartError(
            f"cannot serve {target_of(url)}: it has no PostGIS: CREATE EXTENSION postgis"
        )

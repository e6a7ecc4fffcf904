"""One connection at the start, for services that must not start without a database."""

from geosvc.database.connection import open_connection
from geosvc.database.sqlstate import DATABASE_ERRORS
from geosvc.database.target import target_of, why_unreachable
from geosvc.errors import StartError
from geosvc.settings import Settings
from geosvc.sql.files import load_statement


async def require_database(settings: Settings) -> None:
    """Connects once, and looks for PostGIS.

    Raises: StartError, with the target and the reason, if the database cannot be reached or read,
        or has no PostGIS.
    """
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    target = target_of(url)
    try:
        connection = await open_connection(settings, url)
    except DATABASE_ERRORS as error:
        raise StartError(f"cannot connect to {target}: {why_unreachable(error)}") from None
    try:
        schema = await connection.fetchval(load_statement("postgis_schema").text)
    except DATABASE_ERRORS as error:
        raise StartError(f"cannot read {target}: {why_unreachable(error)}") from None
    finally:
        connection.terminate()
    if schema is None:
        raise StartError(f"cannot serve {target}: it has no PostGIS: CREATE EXTENSION postgis")

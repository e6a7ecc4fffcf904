"""SQL of the tests' own."""

import asyncio
from urllib.parse import urlsplit, urlunsplit


def execute(url: str, sql: str) -> None:
    """Runs SQL of the tests' own, outside a loop."""
    import asyncpg  # pytest imports this module for pure tests too

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    asyncio.run(run())


def with_database(url: str, database: str) -> str:
    """The DSN of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def make_template(server_url: str, name: str, *scripts: str) -> str:
    """A database with PostGIS and what the scripts make, made anew."""
    execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    execute(server_url, f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8'")
    url = with_database(server_url, name)
    execute(url, "SET client_min_messages = warning; CREATE EXTENSION postgis")
    for script in scripts:
        execute(url, "SET client_min_messages = warning; " + script)
    return name

"""SQL of the tests' own."""

import asyncio

import asyncpg


def execute(url: str, sql: str) -> None:
    """Runs SQL of the tests' own, outside a loop."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    asyncio.run(run())

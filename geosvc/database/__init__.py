"""PostgreSQL: pools, codecs, streams, the catalog, the private cluster. The only room that knows asyncpg."""

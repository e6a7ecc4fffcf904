"""PostgreSQL: connections, statements, codecs, the catalog. No other package uses asyncpg."""

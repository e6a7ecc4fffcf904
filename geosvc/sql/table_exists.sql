-- name: load.table_exists
-- description: whether there is a schema, and of which kind the relation of this name in it is
-- $1: text  the schema
-- $2: text  the name
SELECT
    n.oid IS NOT NULL AS has_schema,
    c.relkind::text AS kind
FROM (SELECT 1) AS one
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1::text
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2::text

-- name: check.schemas
-- description: (name, whether it is there, whether the role may use it) of each schema
-- $1: text[]  the schemas
SELECT wanted.name, n.oid IS NOT NULL AS exists, coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS usable
FROM unnest($1::text[]) AS wanted(name) LEFT JOIN pg_namespace n ON n.nspname = wanted.name

-- name: connection.postgis_schema
-- description: the schema that PostGIS lives in; no row when it is not installed
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'postgis'

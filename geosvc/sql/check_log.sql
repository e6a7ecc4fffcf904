-- name: check.log
-- description: what the doctor wants to know of the change log, one JSON object; no row where there is none
SELECT json_build_object(
  'rows', greatest(log.reltuples, 0)::int8,
  'readable', has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(log.oid, 'SELECT') AND has_table_privilege(list.oid, 'SELECT'),
  'prunable', has_table_privilege(log.oid, 'DELETE') AND has_table_privilege(list.oid, 'UPDATE')
)::text AS log
FROM pg_namespace n
     JOIN pg_class log ON log.relnamespace = n.oid AND log.relname = 'change'
     JOIN pg_class list ON list.relnamespace = n.oid AND list.relname = 'publication'
WHERE n.nspname = 'geosvc'

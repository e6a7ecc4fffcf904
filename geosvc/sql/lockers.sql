-- name: connection.lockers
-- description: the sessions that keep readers out of a relation of this database: the oldest transactions first, tables before indexes
SELECT c.relname::text AS relation, n.nspname::text AS schema, l.pid, coalesce(a.application_name, '') AS application_name,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS seconds
FROM pg_locks l
     JOIN pg_class c ON c.oid = l.relation
     JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock'
  AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'i') AND l.pid IS DISTINCT FROM pg_backend_pid()
ORDER BY a.xact_start NULLS LAST, c.relkind = 'i', 2, 1 LIMIT 5

-- name: operations.activity
-- description: what the sessions of this service are doing in this database, one JSON object a row, the longest first
-- $1: text  how the application_name of its sessions begins
SELECT json_build_object(
  'pid', a.pid,
  'started', extract(epoch FROM a.query_start),
  'application_name', a.application_name,
  'user', a.usename,
  'state', a.state,
  'waits_for', nullif(concat_ws(': ', a.wait_event_type, a.wait_event), ''),
  'running_ms', round((extract(epoch FROM clock_timestamp() - a.query_start) * 1000)::numeric, 1)::float8,
  'transaction_ms', round((extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::numeric, 1)::float8,
  'blocked_by', (SELECT coalesce(json_agg(json_build_object(
                          'pid', b.pid, 'user', b.usename, 'application_name', b.application_name, 'state', b.state)), '[]'::json)
                 FROM pg_stat_activity b WHERE b.pid = ANY (pg_blocking_pids(a.pid))),
  'sql', a.query
) AS activity
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
  AND (a.application_name = $1::text OR starts_with(a.application_name, $1::text || '/'))
  AND a.state NOT IN ('idle', 'disabled')
ORDER BY a.query_start
LIMIT 500

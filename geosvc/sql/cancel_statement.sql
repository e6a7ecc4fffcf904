-- name: operations.cancel
-- description: cancels a statement of this service if it is still the one that was seen; no row when it is not
-- $1: int4  the process that runs it
-- $2: float8  when it began, Unix time in seconds
-- $3: text  how the application_name of its session begins
SELECT pg_cancel_backend(a.pid) AS cancelled, a.application_name,
       round((extract(epoch FROM clock_timestamp() - a.query_start) * 1000)::numeric, 1)::float8 AS running_ms
FROM pg_stat_activity a
WHERE a.pid = $1::int4 AND abs(extract(epoch FROM a.query_start)::float8 - $2::float8) < 0.000002
  AND a.datname = current_database() AND a.state = 'active'
  AND (a.application_name = $3::text OR starts_with(a.application_name, $3::text || '/'))

-- name: connection.still_runs
-- description: whether the server works for a connection: one that died it does not know, or takes for idle
-- $1: int4  the process that serves it
SELECT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = $1 AND a.state = 'active')

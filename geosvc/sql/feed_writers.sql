-- name: feed.writers
-- description: how many other transactions that have written to the change log are still open
SELECT count(*) FROM pg_locks
WHERE locktype = 'relation' AND relation = 'geosvc.change'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid IS DISTINCT FROM pg_backend_pid()

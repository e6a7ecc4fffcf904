-- name: write.idempotency_expire
-- description: deletes some of the keys that are older than they are kept
-- $1: float8  seconds that keys are kept
DELETE FROM geosvc.idempotency_keys
WHERE key IN (SELECT key FROM geosvc.idempotency_keys
              WHERE created_at < now() - make_interval(secs => $1::float8) LIMIT 100 FOR UPDATE SKIP LOCKED)

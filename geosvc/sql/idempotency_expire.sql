-- name: write.idempotency_expire
-- description: deletes the key when it is older than keys are kept, and some others that are
-- $1: float8  seconds that keys are kept
-- $2: text  the key
DELETE FROM geosvc.idempotency_keys
WHERE created_at < now() - make_interval(secs => $1::float8)
  AND (key = $2::text
       OR key IN (SELECT key FROM geosvc.idempotency_keys
                  WHERE created_at < now() - make_interval(secs => $1::float8) LIMIT 100 FOR UPDATE SKIP LOCKED))

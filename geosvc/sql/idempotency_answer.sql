-- name: write.idempotency_answer
-- description: the digest of the request that used the key, and the answer it got
-- $1: text  the key
SELECT digest, status, headers::text, body FROM geosvc.idempotency_keys WHERE key = $1::text

-- name: write.idempotency_claim
-- description: a row when the key was free; waits while another transaction has claimed it
-- $1: text  the key
-- $2: bytea  the digest of the request
INSERT INTO geosvc.idempotency_keys (key, digest) VALUES ($1::text, $2::bytea) ON CONFLICT (key) DO NOTHING RETURNING true

-- name: write.idempotency_keep
-- description: keeps the answer of a request
-- $1: text  the key
-- $2: int2  status
-- $3: text  headers, a JSON object
-- $4: bytea  body
-- $5: bytea  the digest of the request
UPDATE geosvc.idempotency_keys SET status = $2::int2, headers = $3::text::jsonb, body = $4::bytea, digest = $5::bytea
WHERE key = $1::text

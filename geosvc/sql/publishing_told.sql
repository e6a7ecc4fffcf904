-- name: publish.told
-- description: tells those who follow a publication that it begins or ends
-- $1: int4  the publication
-- $2: text  + or -
WITH told AS (
  INSERT INTO geosvc.change (publication, operation, rows) VALUES ($1::int4, $2::text::"char", 0) RETURNING 1
)
SELECT pg_notify('geosvc_change', '') FROM told

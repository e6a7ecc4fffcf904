-- name: admin.ping
-- description: whether the database answers
SELECT 1

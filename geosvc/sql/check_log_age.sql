-- name: check.log_age
-- description: how many seconds ago the oldest change was logged; null of an empty log
SELECT (SELECT extract(epoch FROM clock_timestamp() - c.at)::float8 FROM geosvc.change c ORDER BY c.xid LIMIT 1) AS seconds

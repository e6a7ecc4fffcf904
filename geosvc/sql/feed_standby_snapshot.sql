-- name: feed.standby_snapshot
-- description: the snapshot of a standby, where pg_current_snapshot() does not know what is in progress; what ends meanwhile is left for the next
SELECT concat(xmin, ':', xmax, ':', (
  SELECT string_agg(x::text, ',' ORDER BY x) FROM generate_series(xmin, xmax - 1) AS x
  WHERE pg_xact_status(x::text::xid8) = 'in progress'))
FROM (SELECT pg_snapshot_xmin(s)::text::int8 AS xmin, pg_snapshot_xmax(s)::text::int8 AS xmax FROM pg_current_snapshot() AS s) bounds

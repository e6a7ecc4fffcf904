-- name: feed.standby_open
-- description: what is in progress on a standby, where pg_current_snapshot() does not tell; and whether it still is a standby
-- $1: text  the snapshot of the read before: what had ended in it is not looked at again; null: there is none
SELECT bounds.xmax, coalesce(array_agg(x ORDER BY x) FILTER (WHERE pg_xact_status(x::text::xid8) = 'in progress'), '{}') AS open,
       pg_is_in_recovery() AS standby
FROM (
  SELECT coalesce(pg_snapshot_xmax($1::text::pg_snapshot), pg_snapshot_xmin(s))::text::int8 AS known,
         pg_snapshot_xmax(s)::text::int8 AS xmax
  FROM pg_current_snapshot() AS s
) bounds LEFT JOIN LATERAL (
  SELECT generate_series(bounds.known, bounds.xmax - 1) AS x
  UNION ALL SELECT pg_snapshot_xip($1::text::pg_snapshot)::text::int8
) candidates ON true
GROUP BY bounds.xmax

-- name: feed.standby_moved
-- description: as feed.moved, on a standby: whatever this statement sees besides, and the transactions that made it
-- $1: text  the snapshot of the read before
SELECT 'geosvc.change'::regclass::oid::int8 AS log, now.pruned, m.publication, m.version_increment::text, m.changes, m.needs_reload, coalesce(m.xids, '{}') AS xids, m.old_boxes, m.new_boxes, m.everywhere
FROM (
  SELECT EXISTS (
    SELECT FROM geosvc.publication p
    WHERE p.pruned_to >= pg_snapshot_xmin($1::text::pg_snapshot) AND p.pruned_to < pg_snapshot_xmax(pg_current_snapshot())
  ) AS pruned
) now LEFT JOIN LATERAL (
  SELECT c.publication, sum(hashint8extended(c.seq, 0)) AS version_increment, count(*) AS changes, bool_or(c.operation IN ('+', '-')) AS needs_reload,
         array_agg(DISTINCT c.xid::text::int8) AS xids,
         (array_agg(ARRAY[(c.old_box[1])[0], (c.old_box[1])[1], (c.old_box[0])[0], (c.old_box[0])[1]]) FILTER (WHERE c.old_box IS NOT NULL)) AS old_boxes,
         (array_agg(ARRAY[(c.new_box[1])[0], (c.new_box[1])[1], (c.new_box[0])[0], (c.new_box[0])[1]]) FILTER (WHERE c.new_box IS NOT NULL)) AS new_boxes,
         bool_or(c.operation NOT IN ('i', 'u', 'd') OR (c.rows IS NOT NULL AND c.old_box IS NULL AND c.new_box IS NULL)) AS everywhere
  FROM geosvc.change c
  WHERE c.xid >= pg_snapshot_xmin($1::text::pg_snapshot) AND c.xid < pg_snapshot_xmax(pg_current_snapshot())
    AND NOT pg_visible_in_snapshot(c.xid, $1::text::pg_snapshot)
  GROUP BY c.publication
) m ON true

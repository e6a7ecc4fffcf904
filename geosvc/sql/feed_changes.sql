-- name: feed.changes
-- description: the changes of a published table between two snapshots; before them a row whose xid is the youngest that was pruned
-- $1: text  the snapshot that was read up to
-- $2: text  the snapshot to read up to
-- $3: int4  the publication
-- $4: int8  of the changes between, those behind this place
-- $5: int8  and this seq
-- $6: int8  how many at the most; null: all
SELECT 0::int8 AS seq, p.pruned_to::text::int8 AS xid, 0::int8 AS place, '' AS operation, NULL AS key, NULL::int8 AS rows,
       NULL AS old_box, NULL AS new_box, NULL AS old, NULL AS new
FROM geosvc.publication p WHERE p.id = $3::int4
UNION ALL
SELECT c.seq, c.xid::text::int8, c.place, c.operation::text, c.key, c.rows, c.old_box::text, c.new_box::text, c.old::text, c.new::text
FROM (
  SELECT *, max(seq) OVER (PARTITION BY xid) AS place
  FROM geosvc.change
  WHERE publication = $3::int4
    AND xid >= pg_snapshot_xmin($1::text::pg_snapshot) AND xid < pg_snapshot_xmax($2::text::pg_snapshot)
    AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot) AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
) c
WHERE (c.place, c.seq) > ($4::int8, $5::int8)
ORDER BY place, seq
LIMIT $6::int8

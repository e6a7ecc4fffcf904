-- name: feed.standby_versions
-- description: as feed.versions, on a standby: the sums of whatever this statement sees, and the later ones of its transactions
-- $1: int8  from which transaction on they are asked for
WITH logged AS (
  SELECT c.publication, sum(hashint8extended(c.seq, 0)) AS moves,
         array_agg(DISTINCT c.xid::text::int8) FILTER (WHERE c.xid >= $1::int8::text::xid8) AS xids
  FROM geosvc.change c WHERE c.xid < pg_snapshot_xmax(pg_current_snapshot())
  GROUP BY c.publication
)
SELECT p.id, (p.pruned_moves + coalesce(l.moves, 0))::text AS moves, coalesce(l.xids, '{}') AS xids
FROM logged l FULL JOIN geosvc.publication p ON l.publication = p.id

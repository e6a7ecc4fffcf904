-- name: feed.versions
-- description: the published tables, and the sum of the hashes of all their changes, those that were pruned too
WITH now AS MATERIALIZED (SELECT pg_current_snapshot() AS snapshot),
logged AS (
  SELECT c.publication, sum(hashint8extended(c.seq, 0)) AS moves
  FROM geosvc.change c, now
  WHERE c.xid < pg_snapshot_xmax(now.snapshot) AND pg_visible_in_snapshot(c.xid, now.snapshot)
  GROUP BY c.publication
)
SELECT now.snapshot::text, p.id, (p.pruned_moves + coalesce(l.moves, 0))::text
FROM now LEFT JOIN geosvc.publication p ON true LEFT JOIN logged l ON l.publication = p.id

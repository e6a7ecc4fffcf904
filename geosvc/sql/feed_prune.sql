-- name: write.feed_prune
-- description: deletes the oldest changes that are too old or too many, and those of another server that a restore brought
-- $1: float8  seconds that changes are kept
-- $2: int8  changes that are kept at the most
-- $3: int8  how many to delete at the most
-- $4: int4  first number of PRUNE_LOCK, so that one worker prunes at a time
-- $5: int4  second number of PRUNE_LOCK
WITH horizon AS MATERIALIZED (
  SELECT pg_snapshot_xmin(pg_current_snapshot()) AS ended, pg_snapshot_xmax(pg_current_snapshot()) AS begun,
         now() - make_interval(secs => $1::float8) AS oldest,
         (SELECT count(*) FROM (SELECT FROM geosvc.change LIMIT $2::int8 + $3::int8) counted) - $2::int8 AS surplus,
         pg_try_advisory_xact_lock($4::int4, $5::int4) AS alone
),
condemned AS MATERIALIZED (
  SELECT c.place FROM horizon h, LATERAL (
    SELECT ctid AS place, xid, at, row_number() OVER (ORDER BY xid, seq) AS number
    FROM (SELECT ctid, xid, seq, at FROM geosvc.change ORDER BY xid LIMIT $3::int8) oldest
  ) c
  WHERE h.alone AND c.xid < h.ended AND (c.at < h.oldest OR c.number <= h.surplus)
  UNION
  SELECT c.ctid FROM geosvc.change c, horizon h WHERE h.alone AND c.xid >= h.begun
),
deleted AS (
  DELETE FROM geosvc.change c USING condemned d WHERE c.ctid = d.place RETURNING c.publication, c.seq, c.xid
),
summed AS (
  SELECT d.publication, count(*) AS changes, sum(hashint8extended(d.seq, 0)) FILTER (WHERE d.xid < h.begun) AS moves,
         max(d.xid::text::int8) FILTER (WHERE d.xid < h.ended) AS youngest
  FROM deleted d, horizon h GROUP BY d.publication
),
remembered AS (
  UPDATE geosvc.publication p
  SET pruned_moves = p.pruned_moves + coalesce(s.moves, 0),
      pruned_to = greatest(CASE WHEN p.pruned_to < h.begun THEN p.pruned_to END, s.youngest::text::xid8, '0'::xid8)
  FROM horizon h, geosvc.publication q LEFT JOIN summed s ON s.publication = q.id
  WHERE p.id = q.id AND (s.publication IS NOT NULL OR q.pruned_to >= h.begun)
)
SELECT coalesce(sum(s.changes), 0)::int8 FROM summed s

-- name: check.publications
-- description: what the doctor wants to know of each publication, one JSON object a row; no right on the log is needed
WITH RECURSIVE log AS (
  SELECT p.oid AS inserting, substring(p.proname FROM '^change_([0-9]{1,9})_insert$')::int4 AS publication,
         obj_description(p.oid, 'pg_proc') AS columns,
         (SELECT obj_description(u.oid, 'pg_proc') FROM pg_proc u
          WHERE u.pronamespace = p.pronamespace AND u.proname = replace(p.proname, 'insert', 'update')) AS more
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname = 'geosvc' AND p.proname ~ '^change_[0-9]{1,9}_insert$'
),
trigger AS (
  SELECT log.publication, t.tgrelid AS relation, t.tgenabled = 'A' AS enabled, t.tgname = 'geosvc_truncate' AND t.tgnargs = 0 AS whole
  FROM log JOIN pg_proc p ON p.proname IN (SELECT concat('change_', log.publication, '_', operation)
                                           FROM unnest(ARRAY['insert', 'update', 'delete', 'truncate']) AS operation)
       JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'geosvc'
       JOIN pg_trigger t ON t.tgfoid = p.oid
),
logging AS (
  SELECT publication, relation, count(*) FILTER (WHERE enabled) AS enabled, bool_or(whole) AS whole
  FROM trigger GROUP BY publication, relation
),
root AS (
  SELECT DISTINCT ON (l.publication) l.publication, l.relation
  FROM logging l
  ORDER BY l.publication, l.whole DESC,
           EXISTS (SELECT FROM pg_inherits i JOIN logging o ON o.relation = i.inhparent AND o.publication = l.publication
                   WHERE i.inhrelid = l.relation), l.relation
),
tree AS (
  SELECT root.publication, root.relation FROM root
  UNION SELECT tree.publication, i.inhrelid FROM pg_inherits i JOIN tree ON tree.relation = i.inhparent
)
SELECT json_build_object(
  'publication', log.publication,
  'schema', n.nspname,
  'name', c.relname,
  'state', log.columns,
  'more', log.more,
  'columns', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'unlogged', (SELECT coalesce(json_agg(tree.relation::regclass::text ORDER BY tree.relation), '[]') FROM tree
               WHERE tree.publication = log.publication
                 AND NOT EXISTS (SELECT FROM logging l WHERE (l.publication, l.relation, l.enabled) = (log.publication, tree.relation, 4))),
  'strays', (SELECT coalesce(json_agg(l.relation::regclass::text ORDER BY l.relation), '[]') FROM logging l
             WHERE l.publication = log.publication
               AND NOT EXISTS (SELECT FROM tree WHERE (tree.publication, tree.relation) = (l.publication, l.relation))),
  'subscription', (SELECT max(s.subname) FROM tree JOIN pg_subscription_rel m ON m.srrelid = tree.relation
                        JOIN pg_subscription s ON s.oid = m.srsubid WHERE tree.publication = log.publication)
)::text AS publication
FROM log LEFT JOIN root ON root.publication = log.publication
     LEFT JOIN pg_class c ON c.oid = root.relation LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY log.publication

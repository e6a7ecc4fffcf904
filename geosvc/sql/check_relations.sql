-- name: check.relations
-- description: what the doctor wants to know of each relation with a geometry, whether the role may read it or not, one JSON object a row
-- $1: text[]  the schemas to look in
WITH postgis AS MATERIALIZED (
  SELECT t.oid, t.typname
  FROM pg_extension e JOIN pg_type t ON t.typnamespace = e.extnamespace
  WHERE e.extname = 'postgis' AND t.typname IN ('geometry', 'geography')
)
SELECT json_build_object(
  'schema', n.nspname,
  'name', c.relname,
  'kind', c.relkind,
  'rows', greatest(c.reltuples, s.n_live_tup, 0)::int8,
  'analysed', c.reltuples >= 0 AND (s.relid IS NULL OR s.last_analyze IS NOT NULL OR s.last_autoanalyze IS NOT NULL),
  'changed', coalesce(s.n_mod_since_analyze, 0),
  'columns', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]'::json) FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')),
  'readable', has_any_column_privilege(c.oid, 'SELECT'),
  'writable', has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'),
  'parts', EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid),
  'unique', (SELECT json_agg(json_build_object(
                      'name', ic.relname,
                      'broken', NOT (i.indisvalid AND i.indisready AND i.indislive),
                      'partial', i.indpred IS NOT NULL,
                      'of_expressions', i.indexprs IS NOT NULL,
                      'deferrable', NOT i.indimmediate,
                      'nullable', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                                   WHERE a.attrelid = c.oid AND NOT a.attnotnull
                                     AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))) ORDER BY i.indexrelid)
             FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisunique),
  'geometries', (SELECT json_agg(json_build_object(
                           'name', a.attname,
                           'spatial', p.typname,
                           'typmod', a.atttypmod,
                           'nullable', NOT a.attnotnull AND NOT EXISTS (
                             SELECT FROM pg_constraint k
                             WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated AND NOT k.connoinherit
                               AND pg_get_expr(k.conbin, k.conrelid) = format('(%I IS NOT NULL)', a.attname)),
                           'null_index', EXISTS (
                             SELECT FROM pg_index i
                             WHERE i.indrelid = c.oid AND i.indisvalid
                               AND pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NULL)', a.attname)
                               AND pg_get_indexdef(i.indexrelid, 1, true) IN (format('(%I IS NULL)', a.attname), format('%I', a.attname))),
                           'indexes', (SELECT coalesce(json_agg(json_build_object('name', ic.relname, 'valid', i.indisvalid)), '[]'::json)
                                       FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am m ON m.oid = ic.relam
                                       WHERE i.indrelid = c.oid AND m.amname IN ('gist', 'spgist', 'brin') AND i.indpred IS NULL
                                         AND a.attnum = ANY (i.indkey::int2[]))
                         ) ORDER BY a.attnum)
                 FROM pg_attribute a JOIN postgis p ON p.oid = a.atttypid
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
)::text AS relation
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND NOT c.relispartition
  AND has_schema_privilege(n.oid, 'USAGE')
  AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              AND a.atttypid IN (SELECT oid FROM postgis))
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname

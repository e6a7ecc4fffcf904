-- name: operations.plan_relations
-- description: what advice needs to know of the relations of a plan, one JSON object a row
-- $1: text[]  their schemas
-- $2: text[]  their names, in the same order
SELECT json_build_object(
  'schema', n.nspname,
  'name', c.relname,
  'kind', c.relkind,
  'rows', greatest(c.reltuples, 0)::int8,
  'pages', c.relpages,
  'analysed', c.reltuples >= 0 AND (s.last_analyze IS NOT NULL OR s.last_autoanalyze IS NOT NULL OR s.relid IS NULL),
  'changed', coalesce(s.n_mod_since_analyze, 0),
  'partition_of', (SELECT json_build_array(rn.nspname, r.relname)
                   FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace
                   WHERE c.relispartition AND r.oid = pg_partition_root(c.oid)),
  'spatial', (SELECT coalesce(json_object_agg(a.attname, CASE WHEN t.typname = 'geography' THEN 4326
                       WHEN a.atttypmod < 0 THEN 0 ELSE ((a.atttypmod & 268435200) - (a.atttypmod & 268435456)) >> 8 END), '{}'::json)
              FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND t.typname IN ('geometry', 'geography')),
  'indexes', (SELECT coalesce(json_agg(json_build_object(
                       'name', ic.relname,
                       'method', m.amname,
                       'valid', i.indisvalid,
                       'partial', i.indpred IS NOT NULL,
                       'columns', (SELECT json_agg(pg_get_indexdef(i.indexrelid, k, true) ORDER BY k)
                                   FROM generate_series(1, i.indnkeyatts) k))), '[]'::json)
              FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am m ON m.oid = ic.relam
              WHERE i.indrelid = c.oid)
) AS relation
FROM unnest($1::text[], $2::text[]) AS wanted(schema, name)
     JOIN pg_namespace n ON n.nspname = wanted.schema
     JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
     LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid

-- name: operations.plan_relations
-- description: what advice needs to know of the relations of a plan, one JSON object a row; system catalogs, the schema geosvc and what belongs to extensions are left out
-- $1: text[]  their schemas
-- $2: text[]  their names, in the same order
SELECT json_build_object(
  'schema', n.nspname,
  'name', c.relname,
  'kind', c.relkind,
  'rows', greatest(c.reltuples, 0)::int8,
  'pages', c.relpages,
  'secured', row_security_active(c.oid),
  'analysed', c.reltuples >= 0 AND (s.last_analyze IS NOT NULL OR s.last_autoanalyze IS NOT NULL OR s.relid IS NULL),
  'changed', coalesce(s.n_mod_since_analyze, 0),
  'partition_of', (SELECT json_build_array(rn.nspname, r.relname)
                   FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace
                   WHERE c.relispartition AND r.oid = pg_partition_root(c.oid)),
  'spatial', (SELECT coalesce(json_object_agg(a.attname, CASE WHEN t.typname = 'geography' THEN 4326
                       WHEN a.atttypmod < 0 THEN 0 ELSE ((a.atttypmod & 268435200) - (a.atttypmod & 268435456)) >> 8 END), '{}'::json)
              FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND t.typname IN ('geometry', 'geography')),
  'columns', (SELECT coalesce(json_object_agg(a.attname, json_build_object(
                       'type', t.typname,
                       'distinct', CASE WHEN d.n_distinct < 0 THEN -d.n_distinct * greatest(c.reltuples, 0) ELSE d.n_distinct END,
                       'fixed', a.attinhcount > 0 AND NOT c.relispartition OR EXISTS (
                         SELECT FROM pg_depend v WHERE v.refclassid = 'pg_class'::regclass AND v.refobjid = c.oid
                           AND v.refobjsubid = a.attnum AND v.classid = 'pg_rewrite'::regclass),
                       'ordered', EXISTS (
                         SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
                         WHERE m.amname = 'btree' AND o.opcdefault AND (o.opcintype = t.oid
                           OR o.opcintype = 'anyenum'::regtype AND t.typtype = 'e'
                           OR o.opcintype = 'anyrange'::regtype AND t.typtype = 'r'
                           OR EXISTS (SELECT FROM pg_cast k WHERE k.castsource = t.oid AND k.casttarget = o.opcintype
                                      AND k.castmethod = 'b' AND k.castcontext = 'i'))))), '{}'::json)
              FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                   LEFT JOIN pg_stats d ON d.schemaname = n.nspname AND d.tablename = c.relname AND d.attname = a.attname
                     AND NOT d.inherited
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'indexes', (SELECT coalesce(json_agg(json_build_object(
                       'schema', xn.nspname,
                       'name', ic.relname,
                       'method', m.amname,
                       'valid', i.indisvalid,
                       'partial', i.indpred IS NOT NULL,
                       'columns', (SELECT json_agg(coalesce(pg_get_indexdef(i.indexrelid, k, true), '') ORDER BY k)
                                   FROM generate_series(1, i.indnkeyatts) k))), '[]'::json)
              FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_namespace xn ON xn.oid = ic.relnamespace
                   JOIN pg_am m ON m.oid = ic.relam
              WHERE i.indrelid = c.oid)
) AS relation
FROM unnest($1::text[], $2::text[]) AS wanted(schema, name)
     JOIN pg_namespace n ON n.nspname = wanted.schema
     JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
     LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE n.nspname NOT IN ('information_schema', 'geosvc') AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')

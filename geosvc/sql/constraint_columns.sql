-- name: constraint.columns
-- description: the columns of a constraint or of a unique index, in its order; those of an index by expressions are all that they use
-- $1: text  the schema of the table
-- $2: text  the table
-- $3: text  the name of the constraint
SELECT a.attname::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN LATERAL (
       SELECT k.conkey AS keys, 0 AS preferred FROM pg_constraint k WHERE k.conrelid = c.oid AND k.conname = $3::text AND k.conkey IS NOT NULL
         AND 0 <> ALL (k.conkey)
       UNION ALL
       SELECT array_agg(DISTINCT d.refobjsubid)::int2[], 1
       FROM pg_class i JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.oid
       WHERE i.relname = $3::text AND i.relnamespace = c.relnamespace AND d.refclassid = 'pg_class'::regclass
         AND d.refobjid = c.oid AND d.refobjsubid > 0
       ORDER BY preferred LIMIT 1
     ) k ON true
     JOIN LATERAL unnest(k.keys) WITH ORDINALITY AS key(attnum, place) ON true
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = key.attnum
WHERE n.nspname = $1::text AND c.relname = $2::text
ORDER BY key.place

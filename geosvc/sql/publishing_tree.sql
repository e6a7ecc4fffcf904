-- name: publish.tree
-- description: a table and its partitions and children, the table first: who owns each, whether the key is unique in it, and its triggers
-- $1: text  the schema
-- $2: text  the table
-- $3: text[]  the columns of the key
WITH RECURSIVE root AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relname = $2::text
),
tree AS (
  SELECT root.oid FROM root
  UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON tree.oid = i.inhparent
)
SELECT c.oid,
       n.nspname AS schema,
       c.relname AS name,
       c.relkind::text AS kind,
       c.oid <> root.oid AS is_part,
       pg_get_userbyid(c.relowner) AS owner,
       pg_has_role(c.relowner, 'USAGE') AS owned,
       (SELECT i.inhparent::regclass::text FROM pg_inherits i WHERE i.inhrelid = c.oid AND c.oid = root.oid LIMIT 1) AS parent,
       (SELECT s.subname FROM pg_subscription_rel m JOIN pg_subscription s ON s.oid = m.srsubid WHERE m.srrelid = c.oid
        LIMIT 1) AS subscription,
       EXISTS (SELECT FROM pg_index i
               WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
                 AND i.indexprs IS NULL
                 AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
                                      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                                 WHERE k.place <= i.indnkeyatts AND NOT (a.attnotnull AND a.attname = ANY ($3::text[])))) AS keyed,
       (SELECT coalesce(json_object_agg(t.tgname, json_build_array(
                 CASE WHEN p.pronamespace = to_regnamespace('geosvc') THEN p.proname END, t.tgenabled, t.tgnargs)), '{}')::text
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = c.oid AND t.tgname IN ('geosvc_insert', 'geosvc_update', 'geosvc_delete', 'geosvc_truncate')) AS triggers
FROM root, tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY is_part, c.oid

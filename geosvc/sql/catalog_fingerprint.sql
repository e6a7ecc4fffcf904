-- name: catalog.fingerprint
-- description: which PostGIS there is, and a hash that changes with every DDL, comment, grant or ANALYZE that the catalog query could see
-- $1: text[]  the schemas to look in
WITH extension AS (
  SELECT coalesce(max(concat(e.oid, e.extversion, e.extnamespace)), '') AS identity FROM pg_extension e WHERE e.extname = 'postgis'
)
SELECT md5(concat_ws('|',
  extension.identity,
  (SELECT string_agg(n.oid::text || n.xmin::text, ',' ORDER BY n.oid)
   FROM pg_namespace n WHERE n.nspname = ANY ($1::text[]) OR n.nspname = 'geosvc_functions'),
  (SELECT string_agg(concat(c.oid, c.xmin, c.reltuples), ',' ORDER BY c.oid)
   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'i', 'I')),
  (SELECT concat(count(*), ',', sum(hashint8(a.xmin::text::int8 # (a.attrelid::int8 << 16) # a.attnum)::int8))
   FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE (n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'v', 'm', 'p', 'f') OR c.relkind = 'c') AND a.attnum > 0),
  (SELECT string_agg(concat(p.oid, p.xmin), ',' ORDER BY p.oid)
   FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('geosvc_functions', 'geosvc')),
  (SELECT string_agg(concat(t.oid, t.xmin), ',' ORDER BY t.oid)
   FROM pg_trigger t WHERE t.tgname IN ('geosvc_insert', 'geosvc_update', 'geosvc_delete', 'geosvc_truncate')),
  (SELECT concat(count(*), ',', sum(hashint8(i.xmin::text::int8 # (i.inhrelid::int8 << 16))::int8)) FROM pg_inherits i),
  (SELECT concat(count(*), ',', sum(hashint8(d.xmin::text::int8 # (d.objoid::int8 << 16) # d.objsubid)::int8))
   FROM pg_description d JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY ($1::text[])),
  (SELECT concat(count(*), ',', max(l.oid)) FROM pg_enum l),
  (SELECT concat(count(*), ',', sum(hashint8(k.xmin::text::int8 # (k.oid::int8 << 16))::int8))
   FROM pg_constraint k WHERE k.contype IN ('c', 'f')),
  (SELECT string_agg(m.roleid::text, ',' ORDER BY m.roleid)
   FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = current_user)
)) AS fingerprint, extension.identity
FROM extension

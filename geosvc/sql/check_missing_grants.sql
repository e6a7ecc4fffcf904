-- name: check.missing_grants
-- description: what a view reads, or a view that it reads, and may not: the GRANT for each table and function. A view reads tables as its owner unless it is a security_invoker view, and calls functions as who asks
-- $1: text  schema of the view
-- $2: text  name of the view
WITH RECURSIVE reads AS (
  SELECT c.oid, current_user::name AS reader
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1::text AND c.relname = $2::text
  UNION
  SELECT d.refobjid, CASE WHEN v.reloptions && ARRAY['security_invoker=true', 'security_invoker=on', 'security_invoker=1']
                          THEN reads.reader ELSE pg_get_userbyid(v.relowner) END
  FROM reads JOIN pg_class v ON v.oid = reads.oid AND v.relkind = 'v'
       JOIN pg_rewrite r ON r.ev_class = v.oid
       JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                       AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.oid
)
SELECT format('GRANT SELECT ON %I.%I TO %I', n.nspname, c.relname, reads.reader)
FROM reads JOIN pg_class c ON c.oid = reads.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND NOT has_table_privilege(reads.reader, c.oid, 'SELECT')
UNION
SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', p.oid::regprocedure, current_user)
FROM reads JOIN pg_rewrite r ON r.ev_class = reads.oid
     JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_proc'::regclass
     JOIN pg_proc p ON p.oid = d.refobjid
WHERE NOT has_function_privilege(p.oid, 'EXECUTE')
ORDER BY 1

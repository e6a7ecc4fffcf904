-- name: operations.plan_functions
-- description: which of some functions are volatile or of the database's owner, and which force generic plans
-- $1: text[]  their names, without schema
SELECT p.proname::text AS name,
       bool_or(p.provolatile = 'v') AS volatile,
       bool_or(n.nspname <> 'pg_catalog' AND NOT EXISTS (
         SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')) AS own,
       bool_or(coalesce('plan_cache_mode=force_generic_plan' = ANY (p.proconfig), false)) AS generic
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.proname = ANY ($1::text[])
GROUP BY p.proname

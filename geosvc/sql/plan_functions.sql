-- name: operations.plan_functions
-- description: which of some functions are volatile or of the database's owner, and which force generic plans; a name that several functions have is left out
-- $1: text[]  their names, without schema
SELECT p.proname::text AS name,
       bool_or(p.provolatile = 'v') AS volatile,
       bool_or(n.nspname NOT IN ('pg_catalog', 'geosvc') AND NOT EXISTS (
         SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')) AS own,
       bool_or(coalesce('plan_cache_mode=force_generic_plan' = ANY (p.proconfig), false)) AS generic,
       min(format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))) AS signature
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.proname = ANY ($1::text[]) AND p.prokind <> 'a'
GROUP BY p.proname
HAVING count(*) = 1 OR NOT bool_or(n.nspname NOT IN ('pg_catalog', 'geosvc'))

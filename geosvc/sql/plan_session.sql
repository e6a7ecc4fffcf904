-- name: operations.plan_session
-- description: how many bytes a sort may take before it goes to disk; the role and the database of the service; the schema of PostGIS
SELECT (setting::int8 * 1024) AS work_mem_bytes, session_user::text AS role, current_database()::text AS database,
       (SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'postgis') AS postgis
FROM pg_settings WHERE name = 'work_mem'

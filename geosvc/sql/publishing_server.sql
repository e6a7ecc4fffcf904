-- name: publish.server
-- description: whether the change log is there, and what the role may do with it
SELECT to_regclass('geosvc.change') IS NOT NULL AS migrated,
       current_user AS role,
       (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = to_regclass('geosvc.change')) AS owner,
       coalesce(has_schema_privilege(to_regnamespace('geosvc'), 'CREATE'), false)
         AND coalesce(has_table_privilege(to_regclass('geosvc.change'), 'INSERT'), false)
         AND coalesce(has_table_privilege(to_regclass('geosvc.publication'), 'SELECT, INSERT, UPDATE'), false) AS permitted

-- name: publish.server
-- description: whether the change log is there, whose it is, and whether the role may write to it and make functions beside it
SELECT log.oid IS NOT NULL AS migrated,
       current_user AS role,
       pg_get_userbyid(log.relowner) AS owner,
       coalesce(has_schema_privilege(log.relnamespace, 'USAGE') AND has_schema_privilege(log.relnamespace, 'CREATE')
                AND has_table_privilege(log.oid, 'INSERT')
                AND has_table_privilege(list.oid, 'SELECT') AND has_table_privilege(list.oid, 'INSERT')
                AND has_table_privilege(list.oid, 'UPDATE') AND has_table_privilege(list.oid, 'DELETE')
                AND has_sequence_privilege(number.oid, 'USAGE'), false) AS permitted
FROM (SELECT) AS nothing
     LEFT JOIN pg_namespace n ON n.nspname = 'geosvc'
     LEFT JOIN pg_class log ON log.relnamespace = n.oid AND log.relname = 'change'
     LEFT JOIN pg_class list ON list.relnamespace = n.oid AND list.relname = 'publication'
     LEFT JOIN pg_class number ON number.relnamespace = n.oid AND number.relname = 'change_seq'

-- name: load.table_published
-- description: whether the changes of a table are logged
-- $1: text  the schema
-- $2: text  the name
SELECT EXISTS (SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1::text AND c.relname = $2::text AND t.tgname = 'geosvc_insert')

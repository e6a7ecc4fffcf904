-- name: publish.triggers
-- description: every trigger that calls a function of a publication: (table, its schema and name, the name of the trigger)
-- $1: int4  the publication
SELECT t.tgrelid AS relation, n.nspname AS schema, c.relname AS name, t.tgname AS trigger
FROM pg_trigger t
     JOIN pg_proc p ON p.oid = t.tgfoid
     JOIN pg_class c ON c.oid = t.tgrelid
     JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.pronamespace = to_regnamespace('geosvc') AND p.proname ~ concat('^change_', $1::int4, '_(insert|update|delete|truncate)$')
ORDER BY 1, 4

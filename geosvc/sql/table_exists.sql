-- name: load.table_exists
-- description: whether there is a relation of this name
-- $1: text  the schema
-- $2: text  the name
SELECT to_regclass(format('%I.%I', $1::text, $2::text)) IS NOT NULL

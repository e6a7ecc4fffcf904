-- name: publish.registered
-- description: the publications of tables of this name
-- $1: text  the schema
-- $2: text  the table
SELECT p.id FROM geosvc.publication p WHERE p.relation = format('%I.%I', $1::text, $2::text) ORDER BY p.id

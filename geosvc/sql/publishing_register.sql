-- name: publish.register
-- description: makes a row for a table in the list of publications
-- $1: text  the schema
-- $2: text  the table
INSERT INTO geosvc.publication (relation) VALUES (format('%I.%I', $1::text, $2::text)) RETURNING id

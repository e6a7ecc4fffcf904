-- name: publish.rename
-- description: gives a publication the name that its table has now
-- $1: int4  the publication
-- $2: text  the schema
-- $3: text  the table
UPDATE geosvc.publication SET relation = format('%I.%I', $2::text, $3::text)
WHERE id = $1::int4 AND relation <> format('%I.%I', $2::text, $3::text)

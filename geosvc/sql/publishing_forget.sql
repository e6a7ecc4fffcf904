-- name: publish.forget
-- description: removes a publication from the list
-- $1: int4  the publication
DELETE FROM geosvc.publication WHERE id = $1::int4

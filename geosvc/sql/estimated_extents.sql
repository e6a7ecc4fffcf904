-- name: collection.estimated_extents
-- description: (place, xmin, ymin, xmax, ymax) by index or statistics, storage CRS, of each table that has either
-- $1: text[]  schemas
-- $2: text[]  tables
-- $3: text[]  geometry columns
SELECT place, ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e)
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS t(s, r, c, place),
     LATERAL ST_EstimatedExtent(t.s, t.r, t.c) AS e
WHERE e IS NOT NULL

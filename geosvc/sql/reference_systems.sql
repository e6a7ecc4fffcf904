-- name: catalog.reference_systems
-- description: (srid, authority and code, WKT, PROJ string) as PostGIS knows them, of these SRIDs
-- $1: int4[]  the SRIDs
SELECT srid, auth_name || ':' || auth_srid, srtext, proj4text FROM spatial_ref_sys WHERE srid = ANY ($1::int4[])

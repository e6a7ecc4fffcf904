-- name: values.type
-- description: (kind: geometry, array, composite or other, schema and name of its elements, its attributes as JSON) of a type, or of the type below a domain
-- $1: text  the schema of the type
-- $2: text  its name
WITH RECURSIVE below AS (
  SELECT t.oid, t.typtype, t.typbasetype
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE n.nspname = $1::text AND t.typname = $2::text
  UNION ALL
  SELECT b.oid, b.typtype, b.typbasetype FROM below d JOIN pg_type b ON b.oid = d.typbasetype WHERE d.typtype = 'd'
)
SELECT CASE WHEN t.typname = 'geometry' AND EXISTS (SELECT FROM pg_extension x WHERE x.extname = 'postgis' AND x.extnamespace = t.typnamespace)
              THEN 'geometry'
            WHEN t.typsubscript = 'array_subscript_handler'::regproc THEN 'array'
            WHEN t.typtype = 'c' THEN 'composite'
            ELSE 'other' END,
       en.nspname, e.typname,
       (SELECT json_agg(json_build_array(a.attname, an.nspname, ak.typname) ORDER BY a.attnum)
        FROM pg_attribute a JOIN pg_type ak ON ak.oid = a.atttypid JOIN pg_namespace an ON an.oid = ak.typnamespace
        WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)::text
FROM below b JOIN pg_type t ON t.oid = b.oid
     LEFT JOIN pg_type e ON e.oid = t.typelem
     LEFT JOIN pg_namespace en ON en.oid = e.typnamespace
WHERE b.typtype <> 'd'

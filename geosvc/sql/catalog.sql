-- name: catalog.load
-- description: every spatial relation and function that the role may read, one JSON object a row; `logging` are the tables that have all four triggers of a publication, which run in every session; the expression of a constraint is null where its table was dropped a moment ago
-- $1: text[]  the schemas to look in
WITH RECURSIVE postgis AS MATERIALIZED (
  SELECT t.oid, t.typname
  FROM pg_extension e JOIN pg_type t ON t.typnamespace = e.extnamespace
  WHERE e.extname = 'postgis' AND t.typname IN ('geometry', 'geography')
),
relation AS MATERIALIZED (
  SELECT c.*, n.nspname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ANY ($1::text[])
    AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
    AND NOT c.relispartition
    AND has_schema_privilege(n.oid, 'USAGE')
    AND EXISTS (SELECT FROM pg_attribute a LEFT JOIN pg_type d ON d.oid = a.atttypid AND d.typtype = 'd'
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                  AND coalesce(d.typbasetype, a.atttypid) IN (SELECT oid FROM postgis))
    AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
),
part AS (
  SELECT r.oid AS root, i.inhrelid AS oid FROM relation r JOIN pg_inherits i ON i.inhparent = r.oid
  UNION SELECT part.root, i.inhrelid FROM part JOIN pg_inherits i ON i.inhparent = part.oid
),
tree AS MATERIALIZED (
  SELECT part.root, bool_or(c.relkind = 'f') AS has_foreign, sum(greatest(c.reltuples, 0)) AS rows,
         sum(c.relpages + coalesce(t.relpages, 0)) AS pages
  FROM part JOIN pg_class c ON c.oid = part.oid LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
  WHERE c.relkind <> 'p'
  GROUP BY part.root
),
uniqueness AS (
  SELECT i.indrelid AS owner, json_agg(k.names ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid) AS keys
  FROM relation r JOIN pg_index i ON i.indrelid = r.oid,
       LATERAL (SELECT json_agg(a.attname ORDER BY u.place) AS names,
                       bool_and((r.relkind = 'm' OR a.attnotnull AND NOT EXISTS (
                                  SELECT FROM pg_constraint n WHERE n.conrelid = r.oid AND n.contype = 'n' AND NOT n.convalidated
                                                                AND n.conkey = ARRAY[a.attnum]))
                                AND (u.ordering = a.attcollation
                                     OR coalesce((SELECT c.collisdeterministic FROM pg_collation c WHERE c.oid = a.attcollation), true))
                                AND m.amname = 'btree' AND (o.opcname LIKE '%pattern_ops' OR EXISTS (
                                  SELECT FROM pg_opclass d WHERE d.opcfamily = o.opcfamily AND d.opcdefault))) AS holds
                FROM unnest(i.indkey::int2[], i.indcollation::oid[], i.indclass::oid[])
                       WITH ORDINALITY AS u(attnum, ordering, class, place)
                     JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = u.attnum
                     JOIN pg_opclass o ON o.oid = u.class
                     JOIN pg_am m ON m.oid = o.opcmethod
                WHERE u.place <= i.indnkeyatts) k
  WHERE i.indisunique AND i.indisvalid AND i.indisready AND i.indislive AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL AND k.holds
    AND (r.relkind = 'p' OR NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = r.oid))
  GROUP BY i.indrelid
),
locked AS MATERIALIZED (
  SELECT l.relation FROM pg_locks l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
),
logging AS MATERIALIZED (
  SELECT t.tgrelid AS relation, f.publication,
         max(p.oid) FILTER (WHERE f.operation = 'insert') AS inserting, max(p.oid) FILTER (WHERE f.operation = 'update') AS updating
  FROM pg_trigger t
       JOIN pg_proc p ON p.oid = t.tgfoid
       JOIN pg_namespace n ON n.oid = p.pronamespace,
       LATERAL (SELECT substring(p.proname FROM '^change_([0-9]{1,9})_')::int4 AS publication, substring(t.tgname FROM 8) AS operation) f
  WHERE n.nspname = 'geosvc' AND t.tgenabled = 'A'
    AND t.tgname IN ('geosvc_insert', 'geosvc_update', 'geosvc_delete', 'geosvc_truncate')
    AND p.proname = concat('change_', f.publication, '_', f.operation)
  GROUP BY t.tgrelid, f.publication
  HAVING count(*) = 4
),
viewed AS MATERIALIZED (
  WITH RECURSIVE used (oid) AS (
    SELECT r.oid FROM relation r WHERE r.relkind = 'v' AND pg_relation_is_updatable(r.oid, false) <> 0
    UNION
    SELECT c.oid
    FROM used JOIN pg_rewrite w ON w.ev_class = used.oid AND w.ev_type = '1'
         JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
         JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'v' AND c.oid <> w.ev_class
  )
  SELECT DISTINCT ON (used.oid, e.entry[1]) used.oid AS view, e.entry[1]::int2 AS attnum, e.entry[2]::oid AS source, e.entry[3]::int2 AS at
  FROM used JOIN pg_rewrite w ON w.ev_class = used.oid AND w.ev_type = '1',
       LATERAL regexp_matches(w.ev_action::text,
         ':resno (\d+) :resname (?:[^\\ ]|\\.)+ :ressortgroupref \d+ :resorigtbl (\d+) :resorigcol (\d+)', 'g') WITH ORDINALITY AS e(entry, place)
  ORDER BY used.oid, e.entry[1], e.place DESC
),
base AS MATERIALIZED (
  WITH RECURSIVE origin (view, attnum, relation, at) AS (
    SELECT v.view, v.attnum, v.source, v.at FROM viewed v JOIN relation r ON r.oid = v.view
    UNION
    SELECT o.view, o.attnum, v.source, v.at FROM origin o JOIN viewed v ON v.view = o.relation AND v.attnum = o.at
  )
  SELECT o.view, o.attnum, a.attnotnull, a.atthasdef, a.attidentity, a.attgenerated, c.oid AS relation
  FROM origin o JOIN pg_class c ON c.oid = o.relation AND c.relkind IN ('r', 'p', 'f')
       JOIN pg_attribute a ON a.attrelid = o.relation AND a.attnum = o.at
),
policed AS MATERIALIZED (
  WITH RECURSIVE used (view, oid) AS (
    SELECT r.oid, r.oid FROM relation r WHERE r.relkind = 'v' AND EXISTS (SELECT FROM pg_class c WHERE c.relrowsecurity)
    UNION
    SELECT used.view, d.refobjid
    FROM used JOIN pg_rewrite w ON w.ev_class = used.oid
         JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
  )
  SELECT DISTINCT used.view FROM used JOIN pg_class c ON c.oid = used.oid WHERE c.relrowsecurity
),
filling AS MATERIALIZED (
  SELECT DISTINCT g.tgrelid AS relation FROM pg_trigger g WHERE NOT g.tgisinternal AND g.tgtype & 7 = 7
),
field AS (
  SELECT a.attrelid AS owner, a.attnum AS position, a.attname AS name, coalesce(b.attnotnull, a.attnotnull) OR r.relkind <> 'v' AND type.typnotnull AS not_null,
         a.atttypid AS type_oid, a.atttypmod AS typmod, a.attcollation AS collation,
         col_description(a.attrelid, a.attnum) AS description,
         a.atthasdef OR a.attidentity <> '' OR type.typtype = 'd' AND type.typdefault IS NOT NULL
           OR coalesce(b.atthasdef OR b.attidentity <> '', r.relkind = 'v')
           OR coalesce(b.relation, r.oid) IN (SELECT filling.relation FROM filling) AS may_default,
         coalesce(b.attidentity, a.attidentity) = 'a' AS always_identity,
         writable.here AND has_column_privilege(r.oid, a.attnum, 'INSERT') AS insertable,
         writable.here AND coalesce(b.attidentity, a.attidentity) <> 'a' AND has_column_privilege(r.oid, a.attnum, 'UPDATE') AS updatable
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid JOIN pg_type type ON type.oid = a.atttypid
       LEFT JOIN base b ON b.view = r.oid AND b.attnum = a.attnum,
       LATERAL (SELECT coalesce(b.attgenerated, a.attgenerated) = ''
                       AND (CASE WHEN r.relkind <> 'v' THEN true ELSE pg_relation_is_updatable(r.oid, false) = 0
                            OR pg_column_is_updatable(r.oid, a.attnum, true) END) AS here) writable
  WHERE a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(r.oid, a.attnum, 'SELECT')
  UNION ALL
  SELECT p.oid, out.position::int2, out.name, false, out.type_oid, -1,
         (SELECT t.typcollation FROM pg_type t WHERE t.oid = out.type_oid), NULL, false, false, false, false
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace,
       LATERAL unnest(p.proallargtypes, p.proargmodes::text[], p.proargnames)
         WITH ORDINALITY AS out(type_oid, mode, name, position)
  WHERE n.nspname = 'geosvc_functions' AND out.mode IN ('t', 'o', 'b')
  UNION ALL
  SELECT p.oid, a.attnum, a.attname, a.attnotnull, a.atttypid, a.atttypmod, a.attcollation, col_description(a.attrelid, a.attnum),
         false, false, false, false
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
       JOIN pg_type t ON t.oid = p.prorettype AND t.typtype = 'c'
       JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE n.nspname = 'geosvc_functions'
),
described AS (
  SELECT f.owner, json_agg(json_build_object(
           'name', f.name,
           'not_null', f.not_null,
           'type', format_type(f.type_oid, f.typmod),
           'type_schema', tn.nspname,
           'type_name', b.typname,
           'category', b.typcategory,
           'type_oid', b.oid::int8,
           'enum', (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = b.oid),
           'comparable', tn.nspname = 'pg_catalog' OR b.typtype <> 'b' OR b.typcategory IN ('A', 'S') OR comparing.equal,
           'ordered', tn.nspname = 'pg_catalog' OR b.typtype <> 'b' OR b.typcategory = 'A' OR comparing.greater,
           'deterministic', coalesce((SELECT k.collisdeterministic FROM pg_collation k WHERE k.oid = f.collation), true),
           'description', f.description,
           'may_default', f.may_default,
           'always_identity', f.always_identity,
           'insertable', f.insertable,
           'updatable', f.updatable,
           'spatial', (SELECT p.typname FROM postgis p WHERE p.oid = b.oid),
           'typmod', CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE f.typmod END,
           'domain_checks', (SELECT json_agg(pg_get_expr(k.conbin, 0) ORDER BY k.oid) FROM pg_constraint k
                             WHERE k.contypid = t.oid AND k.contype = 'c' AND k.convalidated),
           'composites', CASE WHEN b.typtype = 'c' OR b.typcategory = 'A' THEN composites.found END
         ) ORDER BY f.position) AS columns
  FROM field f
       JOIN pg_type t ON t.oid = f.type_oid
       JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
       JOIN pg_namespace tn ON tn.oid = b.typnamespace,
       LATERAL (SELECT coalesce(bool_or(p.oprname = '='), false) AS equal, coalesce(bool_or(p.oprname = '>'), false) AS greater
                FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod AND m.amname = 'btree'
                     JOIN pg_amop s ON s.amopfamily = o.opcfamily AND s.amoplefttype = b.oid AND s.amoprighttype = b.oid
                     JOIN pg_operator p ON p.oid = s.amopopr
                WHERE o.opcintype = b.oid AND o.opcdefault AND tn.nspname <> 'pg_catalog' AND pg_operator_is_visible(p.oid)) comparing,
       LATERAL (WITH RECURSIVE inside (oid) AS (
                  SELECT b.oid
                  UNION
                  SELECT next.oid
                  FROM inside JOIN pg_type i ON i.oid = inside.oid LEFT JOIN pg_class c ON c.oid = i.typrelid AND c.relkind = 'c',
                       LATERAL (SELECT i.typelem AS oid WHERE i.typcategory = 'A' AND i.typelem <> 0
                                UNION ALL SELECT i.typbasetype WHERE i.typtype = 'd'
                                UNION ALL SELECT a.atttypid FROM pg_attribute a
                                          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) next
                )
                SELECT json_agg(json_build_object(
                         'type', i.oid::int8,
                         'of', CASE WHEN i.typtype = 'd' THEN i.typbasetype WHEN i.typcategory = 'A' THEN nullif(i.typelem, 0) END::int8,
                         'members', (SELECT json_object_agg(a.attname, a.atttypid::int8 ORDER BY a.attnum)
                                     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'c'
                                     WHERE a.attrelid = i.typrelid AND a.attnum > 0 AND NOT a.attisdropped))) AS found
                FROM inside JOIN pg_type i ON i.oid = inside.oid
                WHERE b.typtype = 'c' OR b.typcategory = 'A') composites
  GROUP BY f.owner
)
SELECT json_build_object(
  'schema', r.nspname,
  'name', r.relname,
  'kind', r.relkind,
  'description', obj_description(r.oid, 'pg_class'),
  'columns', d.columns,
  'keys', (SELECT u.keys FROM uniqueness u WHERE u.owner = r.oid),
  'parts', CASE WHEN tree.has_foreign THEN 'foreign' WHEN tree.root IS NOT NULL OR r.relkind = 'p' THEN 'own' END,
  'rows', (CASE WHEN tree.root IS NOT NULL THEN tree.rows + CASE r.relkind WHEN 'p' THEN 0 ELSE greatest(r.reltuples, 0) END
                WHEN r.relkind <> 'p' THEN nullif(r.reltuples, -1) END)::int8,
  'pages', (r.relpages + coalesce((SELECT t.relpages FROM pg_class t WHERE t.oid = r.reltoastrelid), 0) + coalesce(tree.pages, 0))::int8,
  'insertable', CASE r.relkind WHEN 'r' THEN true WHEN 'p' THEN true WHEN 'm' THEN false
    ELSE pg_relation_is_updatable(r.oid, true) & 8 <> 0 END AND has_any_column_privilege(r.oid, 'INSERT'),
  'updatable', CASE r.relkind WHEN 'r' THEN true WHEN 'p' THEN true WHEN 'm' THEN false
    ELSE pg_relation_is_updatable(r.oid, true) & 4 <> 0 END AND has_any_column_privilege(r.oid, 'UPDATE'),
  'deletable', CASE r.relkind WHEN 'r' THEN true WHEN 'p' THEN true WHEN 'm' THEN false
    ELSE pg_relation_is_updatable(r.oid, true) & 16 <> 0 END AND has_table_privilege(r.oid, 'DELETE'),
  'checks_hidden', l.hidden,
  'checks', CASE WHEN NOT l.hidden THEN
    (SELECT json_agg(pg_get_expr(k.conbin, k.conrelid) ORDER BY k.oid) FROM pg_constraint k
     WHERE k.conrelid = r.oid AND k.contype = 'c' AND k.convalidated AND NOT k.connoinherit) END,
  'references', (SELECT json_agg(json_build_object('column', a.attname, 'schema', n.nspname, 'table', c.relname, 'to', b.attname)
                                 ORDER BY k.oid)
                 FROM pg_constraint k
                      JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
                      JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1]
                      JOIN pg_class c ON c.oid = k.confrelid
                      JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE k.conrelid = r.oid AND k.contype = 'f' AND k.convalidated AND cardinality(k.conkey) = 1),
  'publication', (SELECT json_build_object('id', l.publication, 'columns', obj_description(l.inserting, 'pg_proc'),
                                           'more', obj_description(l.updating, 'pg_proc'))
                  FROM logging l
                  WHERE l.relation = r.oid AND NOT EXISTS (
                    WITH RECURSIVE part AS (
                      SELECT i.inhrelid AS oid FROM pg_inherits i WHERE i.inhparent = r.oid
                      UNION SELECT i.inhrelid FROM pg_inherits i JOIN part ON part.oid = i.inhparent)
                    SELECT FROM part
                    WHERE NOT EXISTS (SELECT FROM logging k WHERE k.relation = part.oid AND k.publication = l.publication))
                  LIMIT 1),
  'row_security', row_security_active(r.oid) OR r.oid IN (SELECT policed.view FROM policed),
  'parameters', NULL
) AS collection
FROM relation r JOIN described d ON d.owner = r.oid LEFT JOIN tree ON tree.root = r.oid,
     LATERAL (SELECT EXISTS (SELECT FROM locked WHERE locked.relation = r.oid) AS hidden) l
UNION ALL
SELECT json_build_object(
  'schema', n.nspname,
  'name', p.proname,
  'kind', 'function',
  'description', obj_description(p.oid, 'pg_proc'),
  'columns', d.columns,
  'keys', NULL,
  'parts', NULL,
  'rows', p.prorows::int8,
  'pages', 0,
  'insertable', false,
  'updatable', false,
  'deletable', false,
  'checks_hidden', false,
  'checks', NULL,
  'references', NULL,
  'publication', NULL,
  'row_security', false,
  'parameters', (SELECT coalesce(json_agg(json_build_object(
                     'name', arg.name,
                     'type', format_type(arg.type_oid, NULL),
                     'type_schema', tn.nspname,
                     'type_name', t.typname,
                     'category', t.typcategory,
                     'enum', (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid),
                     'required', arg.place <= p.pronargs - p.pronargdefaults) ORDER BY arg.place), '[]'::json)
                 FROM unnest(p.proargtypes::oid[], (p.proargnames)[1:p.pronargs])
                        WITH ORDINALITY AS arg(type_oid, name, place)
                      JOIN pg_type t ON t.oid = arg.type_oid
                      JOIN pg_namespace tn ON tn.oid = t.typnamespace)
) AS collection
FROM pg_proc p
     JOIN pg_namespace n ON n.oid = p.pronamespace
     JOIN described d ON d.owner = p.oid
WHERE n.nspname = 'geosvc_functions'
  AND p.proretset AND p.prokind = 'f'
  AND has_schema_privilege(n.oid, 'USAGE')
  AND has_function_privilege(p.oid, 'EXECUTE')
  AND p.pronargs <= coalesce(array_length(p.proargnames, 1), 0) + (p.pronargs = 0)::int

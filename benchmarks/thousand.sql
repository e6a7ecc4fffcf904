-- 1,000 spatial tables with keys and indexes, in a schema of their own.

DROP SCHEMA IF EXISTS bench_thousand CASCADE;
CREATE SCHEMA bench_thousand;
DO $$
BEGIN
    FOR n IN 1..1000 LOOP
        EXECUTE format(
            'CREATE TABLE bench_thousand.places_%s (id bigint PRIMARY KEY, name text, kind text NOT NULL,'
            ' population integer, founded date, seen timestamptz, tags jsonb, geom geometry (%s, 4326))',
            lpad(n::text, 4, '0'), (ARRAY['Point', 'LineString', 'MultiPolygon'])[1 + n % 3]
        );
        EXECUTE format('CREATE INDEX ON bench_thousand.places_%s USING gist (geom)', lpad(n::text, 4, '0'));
        COMMIT;
    END LOOP;
END
$$;

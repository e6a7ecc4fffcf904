-- 140,000 real buildings: those of the sample data many times over, shifted so that no two copies overlap. The centre
-- of Helsinki (16 points a building) 192 times, the countryside north of Kotka (6 points) 22 times: about 700 bytes of
-- GeoJSON a building, as in a whole city.

DROP TABLE IF EXISTS public.buildings_bench CASCADE;
CREATE TABLE public.buildings_bench (
    id bigint NOT NULL,
    osm_id bigint NOT NULL,
    version integer,
    edited timestamptz,
    name text,
    kind text,
    levels integer,
    street text,
    house_number text,
    postcode text,
    city text,
    tags jsonb NOT NULL,
    geom geometry (MultiPolygon, 4326) NOT NULL
);
INSERT INTO public.buildings_bench
SELECT
    row_number() OVER (ORDER BY c.place, c.copy, b.osm_id) AS id,
    b.osm_id, b.version, b.edited, b.name, b.kind, b.levels, b.street, b.house_number, b.postcode, b.city, b.tags,
    ST_Translate(b.geom, (c.copy % c.across) * c.width, (c.copy / c.across) * c.height)
FROM (
    SELECT 1 AS place, copy, 16 AS across, 0.02 AS width, 0.016 AS height FROM generate_series(0, 191) AS copy
    UNION ALL
    SELECT 2, copy, 6, 0.041, 0.021 FROM generate_series(0, 21) AS copy
) AS c
INNER JOIN public.buildings AS b ON c.place = CASE WHEN ST_XMin(b.geom) < 26 THEN 1 ELSE 2 END
ORDER BY 1
LIMIT 140000;
ALTER TABLE public.buildings_bench ADD PRIMARY KEY (id);
CREATE INDEX buildings_bench_geom_idx ON public.buildings_bench USING gist (geom);

-- ten times as many rows, to see whether memory grows with them
CREATE VIEW public.buildings_bench_tenfold AS
SELECT (n - 1) * 140000 + b.id AS id, b.osm_id, b.version, b.edited, b.name, b.kind, b.levels, b.street, b.house_number,
    b.postcode, b.city, b.tags, b.geom
FROM generate_series(1, 10) AS n CROSS JOIN public.buildings_bench AS b;

"""Vector tiles, read by GDAL and compared with what PostGIS and shapely find in the tables."""

import json
import random
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from geosvc.events import QueryEnded
from geosvc.model.tile_matrix_set import BUFFER
from tests.conftest import Client, Service, execute, with_database
from tests.http import fetch
from tests.live import connected
from tests.observing import seen
from tests.tile_reading import EXTENT, ReadFeature, read_tile, tile_at, tile_box

ROWS = 60
SCALES = {"arctic": 4}  # Web Mercator stretches what is near the pole, and a pixel is a guess
# of each table its column, and a place in degrees around which its features are
TABLES = {
    "degrees": ("geometry(Geometry, 4326)", (8.5, 47.4)),
    "mercator": ("geometry(Geometry, 3857)", (-70.6, -33.4)),
    "finland": ("geometry(Geometry, 3067)", (25.0, 60.2)),
    "europe": ("geometry(Geometry, 3035)", (10.0, 52.0)),
    "arctic": ("geometry(Geometry, 3413)", (-45.0, 82.0)),
    "france": ("geometry(Geometry, 2154)", (2.3, 48.9)),
    "sphere": ("geography(Geometry, 4326)", (145.0, -37.8)),
    "unknown": ("geometry", (30.0, 31.2)),
}
SHAPES = (
    "ST_Point({x}, {y}, 4326)",
    "ST_SetSRID(ST_MakeLine(ST_Point({x}, {y}), ST_Point({x} + {d}, {y} + {d} / 2)), 4326)",
    "ST_SetSRID(ST_MakeEnvelope({x}, {y}, {x} + {d}, {y} + {d}), 4326)",
    "ST_SetSRID(ST_Multi(ST_Buffer(ST_Point({x}, {y}), {d} / 3, 3)), 4326)",
)
SITES = """
CREATE TABLE sites (id integer PRIMARY KEY, name text, seen timestamptz, big bigint,
  share numeric(6, 2), tags text[], extra jsonb, geom geometry(Point, 4326));
INSERT INTO sites VALUES
  (1, 'Zürich', '2024-01-01T00:00:00Z', 9007199254740993, 1.5, '{a,b}', '{"k": [1]}', 'SRID=4326;POINT(8.5 47.4)'),
  (2, 'Helsinki', '2024-06-01T00:00:00Z', 7, NULL, NULL, NULL, 'SRID=4326;POINT(24.9 60.2)'),
  (3, 'nowhere', NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 'Taveuni', '2025-01-01T00:00:00Z', -1, 0, '{}', '1', 'SRID=4326;POINT(179.9 -16.8)'),
  (-5, 'below zero', NULL, NULL, NULL, NULL, NULL, 'SRID=4326;POINT(8.6 47.5)');
COMMENT ON TABLE sites IS 'Places that were visited';
CREATE TABLE coded (code text PRIMARY KEY, geom geometry(Point, 4326));
INSERT INTO coded VALUES ('x', 'SRID=4326;POINT(8.5 47.4)');
CREATE TABLE poles (id integer PRIMARY KEY, geom geometry(Polygon, 4326));
INSERT INTO poles VALUES (1, ST_MakeEnvelope(-180, -90, 180, -60, 4326)),
  (2, 'SRID=4326;POLYGON((170 -20, 190 -20, 190 -10, 170 -10, 170 -20))');
"""


def made_rows(table: str, number: int) -> str:
    """An INSERT of random points, lines and polygons around the place of a table."""
    kind, (longitude, latitude) = TABLES[table]
    srid = kind.rpartition(" ")[2].strip(")")
    chosen = random.Random(number)
    rows = []
    for row in range(ROWS):
        size = 10 ** chosen.uniform(-4, 0)
        shape = SHAPES[row % len(SHAPES)].format(
            x=longitude + chosen.gauss(0, 0.4), y=latitude + chosen.gauss(0, 0.3), d=size
        )
        value = f"ST_Transform({shape}, {srid})"
        if kind.startswith("geography"):
            value = f"({shape})::geography"
        elif kind == "geometry":
            value = shape
        rows.append(f"({row}, 'number {row}', {value})")
    return f"INSERT INTO {table} VALUES {', '.join(rows)};"


@pytest.fixture(scope="module")
def tiles_url(server_url: str, bare_template: str) -> str:
    """The tables, shared by the tests here, which only read."""
    name = "geosvc_tiles"
    execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{bare_template}"')
    url = with_database(server_url, name)
    for number, (table, (kind, _)) in enumerate(TABLES.items()):
        execute(url, f"CREATE TABLE {table} (id bigint PRIMARY KEY, name text, geom {kind})")
        execute(url, made_rows(table, number))
        execute(url, f"CREATE INDEX ON {table} USING gist (geom)")
    execute(url, SITES)
    return url


CROWD = 3_000
CROWDS = f"""
CREATE TABLE dots (id int PRIMARY KEY, name text, weight int, geom geometry(Point, 4326));
SELECT setseed(0.5);
INSERT INTO dots SELECT i, 'number ' || i, i,
  ST_Point(random() * 300 - 150, random() * 140 - 70, 4326) FROM generate_series(0, {CROWD} - 1) i;
CREATE TABLE dots_in_metres (id int PRIMARY KEY, name text, geom geometry(Point, 3395));
INSERT INTO dots_in_metres SELECT id, name, ST_Transform(geom, 3395) FROM dots;
CREATE TABLE specks (id int PRIMARY KEY, name text, geom geometry(Polygon, 4326));
INSERT INTO specks SELECT id, name, ST_Expand(geom, 0.001) FROM dots;
CREATE TABLE few_specks (id int PRIMARY KEY, geom geometry(MultiPolygon, 4326));
INSERT INTO few_specks VALUES (1, ST_Multi(ST_MakeEnvelope(10, 50, 10.0001, 50.0001, 4326))),
  (2, ST_Multi(ST_MakeEnvelope(20, 60, 20.01, 60.0001, 4326)));
ANALYZE;
"""


@pytest.fixture(scope="module")
def crowds_url(server_url: str, bare_template: str) -> str:
    """Tables with more features than a tile shows."""
    name = "geosvc_crowds"
    execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{bare_template}"')
    url = with_database(server_url, name)
    execute(url, CROWDS)
    return url


@pytest.fixture
async def client(service: Service, tiles_url: str) -> Client:
    return await service(tiles_url, collections={"unknown": {"srid": 4326}})


async def get_tile(
    client: Client, path: str, folder: Path, address: tuple[int, int, int], query: str = ""
) -> dict[str, list[ReadFeature]]:
    """The layers of a tile, read by GDAL; none where it is empty."""
    zoom, row, column = address
    url = f"{path}/tiles/WebMercatorQuad/{zoom}/{row}/{column}{query}"
    async with client.get(url) as response:
        body = await response.read()
        assert response.status in (200, 204), body
        if response.status == 204:
            return {}
        assert response.headers["Content-Type"] == "application/vnd.mapbox-vector-tile"
    return read_tile(body, folder, address)


async def stored(url: str, table: str) -> dict[int, BaseGeometry]:
    """The geometries of a table in EPSG:3857 by id, as PostGIS transforms them.

    Their edges are straight in the CRS of the table, so they have points along them.
    """
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT id, ST_AsBinary(ST_Transform(ST_Segmentize(geom::geometry,"
            " greatest(ST_XMax(geom::geometry) - ST_XMin(geom::geometry), 1e-9) / 100), 3857))"
            f" FROM {table}"
        )
    finally:
        await connection.close()
    return {row[0]: shapely.from_wkb(row[1]) for row in rows}


@pytest.mark.parametrize("table", TABLES)
async def test_a_tile_has_the_features_of_its_area(
    client: Client, tiles_url: str, tmp_path: Path, table: str
) -> None:
    geometries = await stored(tiles_url, table)
    _, (longitude, latitude) = TABLES[table]
    compared = 0
    for zoom in (0, 3, 6, 8, 10, 12, 14):
        unit = 40_075_016.68557849 / 2**zoom / EXTENT
        for place in ((longitude, latitude), (longitude + 0.2, latitude + 0.1)):
            address = tile_at(zoom, *place)
            layers = await get_tile(client, f"/collections/{table}", tmp_path, address)
            found = {feature.id: feature for feature in layers.get(table, [])}
            assert len(found) == len(layers.get(table, []))
            area, wide = tile_box(*address), tile_box(*address, (BUFFER + 2) / EXTENT)
            for id_, geometry in geometries.items():
                clipped = shapely.intersection(geometry, area)
                if id_ in found:
                    assert geometry.intersects(wide), (zoom, id_)
                    assert found[id_].properties["name"] == f"number {id_}"
                    compared += compare_shape(
                        found[id_].geometry, geometry, area, unit * SCALES.get(table, 1)
                    )
                else:
                    assert may_vanish(geometry, clipped, unit), (zoom, id_)
    assert compared > ROWS


def may_vanish(geometry: BaseGeometry, clipped: BaseGeometry, unit: float) -> bool:
    """Whether a geometry is not in the tile, or smaller than two pixels of a screen there.

    A pixel is eight units of the grid of the tile.
    """
    xmin, ymin, xmax, ymax = geometry.bounds
    is_small = max(xmax - xmin, ymax - ymin) < 16 * unit
    if geometry.geom_type == "Point":
        return bool(clipped.is_empty)
    return is_small or bool(shapely.buffer(clipped, -4 * unit).is_empty)


def compare_shape(
    found: BaseGeometry, geometry: BaseGeometry, area: BaseGeometry, unit: float
) -> int:
    """Compares a geometry of a tile with what it was made of; a pixel is 8 units of the grid."""
    # GDAL leaves out the buffer
    clipped = shapely.intersection(geometry, area)
    found = shapely.intersection(shapely.make_valid(found), area)
    if clipped.is_empty or found.is_empty:
        return 0
    distance = shapely.hausdorff_distance(found, clipped)
    assert distance <= 16 * unit, (distance / unit, found.wkt[:200], clipped.wkt[:200])
    return 1


async def test_values_are_those_of_geojson(client: Client, tmp_path: Path) -> None:
    address = tile_at(6, 8.5, 47.4)
    layers = await get_tile(client, "/collections/sites", tmp_path, address)
    by_name = {feature.properties["name"]: feature for feature in layers["sites"]}
    assert by_name["Zürich"].id == 1
    assert (
        by_name["Zürich"].properties
        == {
            "id": 1,
            "name": "Zürich",
            "seen": "2024-01-01T00:00:00+00:00",
            "big": 9007199254740993,
            "share": 1.5,
            "tags": '["a", "b"]',
            "extra": '{"k": [1]}',
        }
        or by_name["Zürich"].properties["tags"] == '["a","b"]'
    )
    assert by_name["below zero"].id is None
    assert by_name["below zero"].properties["id"] == -5
    layers = await get_tile(
        client, "/collections/sites", tmp_path, address, "?bigint=string&properties=big"
    )
    assert [feature.properties for feature in layers["sites"] if feature.id == 1] == [
        {"big": "9007199254740993"}
    ]


async def test_parameters_select_what_they_select_among_items(
    client: Client, tmp_path: Path
) -> None:
    for query in ("name=Helsinki", "filter=id%3E1", "datetime=2024-05-01/..", "name=none"):
        items = await fetch(client, f"/collections/sites/items?{query}&limit=100")
        expected = {each["id"] for each in items["features"] if each["geometry"] is not None}
        layers = await get_tile(client, "/collections/sites", tmp_path, (0, 0, 0), f"?{query}")
        found = {feature.properties["id"] for feature in layers.get("sites", [])}
        assert found == expected, query


async def test_polar_and_antimeridian_polygons_are_in_their_tiles(
    client: Client, tmp_path: Path
) -> None:
    layers = await get_tile(client, "/collections/poles", tmp_path, (0, 0, 0))
    assert {feature.id for feature in layers["poles"]} == {1, 2}
    for longitude in (-179.0, 175.0):
        address = tile_at(3, longitude, -15)
        layers = await get_tile(client, "/collections/poles", tmp_path, address)
        (feature,) = [each for each in layers["poles"] if each.id == 2]
        share = feature.geometry.area / tile_box(*address).area
        assert 0.02 < share < 0.2
    south = await get_tile(client, "/collections/poles", tmp_path, tile_at(4, 0, -84))
    assert south["poles"][0].geometry.area >= tile_box(*tile_at(4, 0, -84)).area


async def test_equal_tiles_have_equal_bytes_and_a_tag(client: Client) -> None:
    path = "/collections/degrees/tiles/WebMercatorQuad/8/{}/{}".format(*tile_at(8, 8.5, 47.4)[1:])
    tags = set()
    bodies = set()
    for _ in range(20):
        async with client.get(path) as response:
            bodies.add(await response.read())
            tags.add(response.headers["ETag"])
    assert len(bodies) == len(tags) == 1
    async with client.get(path, headers={"If-None-Match": tags.pop()}) as response:
        assert response.status == 304
        assert not await response.read()


async def test_an_empty_tile_is_204_and_says_so(client: Client) -> None:
    async with client.get("/collections/sites/tiles/WebMercatorQuad/9/0/0") as response:
        assert (response.status, await response.read()) == (204, b"")
        assert response.headers["OATiles-hint"] == "empty"
        assert "Content-Type" not in response.headers


@pytest.mark.parametrize(
    ("path", "status", "parameter"),
    [
        ("/collections/sites/tiles/nothing/0/0/0", 404, None),
        ("/collections/sites/tiles/WebMercatorQuad/0/0/1", 404, None),
        ("/collections/sites/tiles/WebMercatorQuad/0/1/0", 404, None),
        ("/collections/sites/tiles/WebMercatorQuad/25/0/0", 404, None),
        ("/collections/sites/tiles/WebMercatorQuad/x/0/0", 404, None),
        ("/collections/sites/tiles/WebMercatorQuad/9/99999999999999999999/0", 404, None),
        ("/collections/sites/tiles/WebMercatorQuad/0/a/0", 400, "tileRow"),
        ("/collections/sites/tiles/WebMercatorQuad/0/0/-1", 400, "tileCol"),
        ("/collections/sites/tiles/WebMercatorQuad/0/0/%C2%B2", 400, "tileCol"),
        ("/collections/sites/tiles/WebMercatorQuad/0/a/0.mvt", 400, "tileCol"),
        ("/collections/nothing/tiles/WebMercatorQuad/0/0/0", 404, None),
        ("/collections/sites/tiles/WebMercatorQuad/0/0/0?f=png", 400, "f"),
        ("/collections/sites/tiles/WebMercatorQuad/0/0/0?bbox=1,2,3,4", 400, "bbox"),
        ("/collections/sites/tiles/WebMercatorQuad/0/0/0?filter=nothing%3D1", 400, "filter"),
        ("/tiles/WebMercatorQuad/0/0/0?collections=sites,nothing", 400, "collections"),
        ("/tiles/WebMercatorQuad/0/0/0?collections=sites,sites", 400, "collections"),
        ("/tiles/WebMercatorQuad/0/0/0?filter=id%3D1", 400, "filter"),
        ("/tileMatrixSets/nothing", 404, None),
    ],
)
async def test_what_is_not_there_is_404_and_what_is_no_number_is_400(
    client: Client, path: str, status: int, parameter: str | None
) -> None:
    problem = await fetch(client, path, status)
    assert problem.get("parameter") == parameter


async def test_a_tileset_describes_its_layer_and_leads_to_its_tiles(client: Client) -> None:
    path = "/collections/sites/tiles/WebMercatorQuad"
    tileset = await fetch(client, path)
    assert tileset["dataType"] == "vector"
    assert tileset["tileMatrixSetURI"].endswith("/WebMercatorQuad")
    (layer,) = tileset["layers"]
    assert (layer["id"], layer["geometryDimension"]) == ("sites", 0)
    assert layer["propertiesSchema"]["properties"]["name"] == {"type": "string"}
    by_rel = {link["rel"]: link for link in tileset["links"]}
    template = by_rel["item"]["href"]
    assert by_rel["item"]["templated"] is True
    url = template.format(tileMatrix=0, tileRow=0, tileCol=0)
    async with client.get(url.partition(str(client.make_url("")))[2] or url) as response:
        assert response.status == 200
    definition = await fetch(
        client, by_rel["http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"]["href"]
    )
    assert definition["id"] == "WebMercatorQuad"


async def test_tilejson_names_what_clients_of_z_x_and_y_need(client: Client) -> None:
    path = "/collections/sites/tiles/WebMercatorQuad?f=tilejson&filter=id%3E1"
    tilejson = await fetch(client, path)
    assert tilejson["tilejson"] == "3.0.0"
    (template,) = tilejson["tiles"]
    assert template.endswith("/{z}/{x}/{y}.mvt?filter=id%3E1")
    (layer,) = tilejson["vector_layers"]
    assert layer["description"] == "Places that were visited"
    assert layer["fields"]["big"] == "Number"
    zoom, row, column = tile_at(5, 24.9, 60.2)
    relative = template.removeprefix(str(client.make_url("")).rstrip("/"))
    async with client.get(relative.format(z=zoom, x=column, y=row).replace("%3E", ">")) as response:
        assert response.status == 200
    coded = await fetch(client, "/collections/coded/tiles/WebMercatorQuad?f=tilejson")
    assert coded["promoteIds"] == {"coded": "code"}


async def test_every_collection_lists_its_tilesets(client: Client) -> None:
    for collection in (await fetch(client, "/collections"))["collections"]:
        (link,) = [each for each in collection["links"] if "tilesets-vector" in each["rel"]]
        listed = await fetch(client, link["href"])
        names = [each["tileMatrixSetURI"].rpartition("/")[2] for each in listed["tilesets"]]
        assert names == ["WebMercatorQuad", "WorldCRS84Quad"]
        assert {link["rel"] for link in listed["tilesets"][0]["links"]} >= {"self", "item"}


async def test_the_dataset_has_tilesets_of_all_collections(client: Client) -> None:
    landing = await fetch(client, "/")
    (link,) = [each for each in landing["links"] if "tilesets-vector" in each["rel"]]
    listed = await fetch(client, link["href"])
    assert len(listed["tilesets"]) == 2
    tileset = await fetch(client, "/tiles/WorldCRS84Quad")
    collections = (await fetch(client, "/collections"))["collections"]
    assert [each["id"] for each in tileset["layers"]] == [each["id"] for each in collections]


async def test_collections_selects_the_layers(client: Client, tmp_path: Path) -> None:
    layers = await get_tile(client, "", tmp_path, (0, 0, 0), "?collections=sites,coded")
    assert list(layers) == ["sites", "coded"]
    every = await get_tile(client, "", tmp_path, (0, 0, 0))
    assert set(every) >= {"sites", "coded", "poles"}


async def test_too_many_collections_are_refused(service: Service, tiles_url: str) -> None:
    client = await service(tiles_url, tile_max_collections=2)
    for query in ("", "?collections=sites,coded,poles"):
        problem = await fetch(client, f"/tiles/WebMercatorQuad/0/0/0{query}", 400)
        assert problem["parameter"] == "collections"


async def test_operations_have_the_ids_that_clients_look_for(client: Client) -> None:
    paths = (await fetch(client, "/api"))["paths"]
    tile = "/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}"
    assert paths[tile]["get"]["operationId"] == "dataset.vector.getTile"
    own = paths[f"/collections/sites{tile}"]["get"]["operationId"]
    assert own.endswith(".collection.vector.getTile")


async def test_a_tile_matrix_set_is_its_registered_definition(client: Client) -> None:
    listed = (await fetch(client, "/tileMatrixSets"))["tileMatrixSets"]
    assert [each["id"] for each in listed] == ["WebMercatorQuad", "WorldCRS84Quad"]
    definition = await fetch(client, "/tileMatrixSets/WebMercatorQuad")
    first = definition["tileMatrices"][0]
    assert first["scaleDenominator"] == pytest.approx(559082264.028717)
    assert first["pointOfOrigin"] == pytest.approx([-20037508.342789244, 20037508.342789244])


async def test_a_tile_matrix_set_comes_from_a_file(
    service: Service, tiles_url: str, tmp_path: Path
) -> None:
    definition: dict[str, Any] = {
        "id": "Home",
        "title": "Two by two tiles of Europe",
        "crs": "http://www.opengis.net/def/crs/EPSG/0/3035",
        "orderedAxes": ["Y", "X"],
        "tileMatrices": [
            {
                "id": "0",
                "scaleDenominator": 1000000 / 0.28 * 1000 / 1000,
                "cellSize": 1000,
                "cornerOfOrigin": "topLeft",
                "pointOfOrigin": [5000000, 3000000],
                "tileWidth": 1000,
                "tileHeight": 1000,
                "matrixWidth": 2,
                "matrixHeight": 2,
            }
        ],
    }
    path = tmp_path / "home.json"
    path.write_text(json.dumps(definition))
    client = await service(tiles_url, tile_matrix_sets=(str(path), "WebMercatorQuad"))
    tileset = await fetch(client, "/collections/europe/tiles/Home")
    assert tileset["crs"].endswith("3035")
    async with client.get("/collections/europe/tiles/Home/0/1/1") as response:
        assert response.status == 200
    await fetch(client, "/collections/europe/tiles/Home/1/1/1", 404)


async def test_no_stored_geometry_fails_a_tile(nasty: Client) -> None:
    """Of the table of difficult geometries each tile is made, without those that PostGIS refuses."""
    features = 0
    for zoom in range(12):
        most = min(2**zoom, 3)
        for row in range(most):
            for column in range(most):
                middle = (2**zoom - most) // 2
                path = f"/tiles/WebMercatorQuad/{zoom}/{middle + row}/{middle + column}"
                async with nasty.get(f"/collections/nasty_geometries{path}") as response:
                    body = await response.read()
                    assert response.status in (200, 204), (path, body)
                    features += len(body)
    assert features > 5_000


async def zoom_of(
    client: Client, table: str, folder: Path, zoom: int, query: str = ""
) -> list[ReadFeature]:
    """The features of all tiles of a zoom, without what is in their buffers."""
    features: list[ReadFeature] = []
    for row in range(2**zoom):
        for column in range(2**zoom):
            address = (zoom, row, column)
            layers = await get_tile(client, f"/collections/{table}", folder, address, query)
            features += layers.get(table, [])
    return features


def shown(features: list[ReadFeature]) -> int:
    """How many features these stand for."""
    return sum(feature.properties.get("point_count", 1) for feature in features)


@pytest.mark.parametrize("table", ["dots", "specks", "dots_in_metres"])
async def test_the_cells_of_crowded_tiles_hold_each_feature_once(
    service: Service, crowds_url: str, tmp_path: Path, table: str
) -> None:
    client = await service(crowds_url, tile_max_features=300)
    for zoom in (0, 1, 2):
        features = await zoom_of(client, table, tmp_path, zoom)
        assert shown(features) == CROWD, zoom
        single = [feature for feature in features if "point_count" not in feature.properties]
        assert all(feature.properties["name"] == f"number {feature.id}" for feature in single)
        gathered = [feature for feature in features if "point_count" in feature.properties]
        assert gathered
        assert all(list(feature.properties) == ["point_count"] for feature in gathered)
    async with client.get(f"/collections/{table}/tiles/WebMercatorQuad/0/0/0") as response:
        assert response.headers["Geosvc-Tile"].endswith(f"matched={CROWD}, thinned")


async def test_filters_count_what_they_select(
    service: Service, crowds_url: str, tmp_path: Path
) -> None:
    client = await service(crowds_url, tile_max_features=300)
    features = await zoom_of(client, "dots", tmp_path, 1, "?filter=weight%3C500")
    items = await fetch(client, "/collections/dots/items?filter=weight<500&limit=1&count=exact")
    assert shown(features) == items["numberMatched"] < CROWD


async def test_drop_shows_the_most_important_feature_of_each_cell(
    service: Service, crowds_url: str, tmp_path: Path
) -> None:
    style = {"tiles": "drop", "tiles_importance": "weight"}
    client = await service(crowds_url, tile_max_features=300, collections={"dots": style})
    features = (await get_tile(client, "/collections/dots", tmp_path, (0, 0, 0)))["dots"]
    assert all(feature.id == feature.properties["weight"] for feature in features)
    assert max(feature.properties["weight"] for feature in features) == CROWD - 1
    assert shown(features) == CROWD


async def test_all_and_single_from_zoom_show_every_feature(
    service: Service, crowds_url: str, tmp_path: Path
) -> None:
    styles = {"dots": {"tiles": "all"}, "specks": {"tiles_single_from_zoom": 0}}
    client = await service(crowds_url, tile_max_features=2 * CROWD, collections=styles)
    for table in styles:
        layers = await get_tile(client, f"/collections/{table}", tmp_path, (0, 0, 0))
        named = [each for each in layers.get(table, []) if "point_count" in each.properties]
        assert not named
    layers = await get_tile(client, "/collections/dots", tmp_path, (0, 0, 0))
    assert len(layers["dots"]) == CROWD


async def test_a_layer_that_is_too_large_is_made_again_with_fewer_features(
    service: Service, crowds_url: str
) -> None:
    client = await service(crowds_url, tile_max_bytes=20_000)
    async with client.get("/collections/dots/tiles/WebMercatorQuad/1/0/1") as response:
        assert 1_000 < len(await response.read()) <= 20_000
        assert response.headers["Geosvc-Tile"].endswith("thinned")


async def test_small_polygons_do_not_vanish(
    service: Service, crowds_url: str, tmp_path: Path
) -> None:
    client = await service(crowds_url)
    layers = await get_tile(client, "/collections/few_specks", tmp_path, (2, 1, 2))
    assert {each.id for each in layers["few_specks"]} == {1, 2}
    assert {each.geometry.geom_type for each in layers["few_specks"]} == {"Point"}


async def test_a_sample_tells_about_how_many_there_are(
    service: Service, crowds_url: str, tmp_path: Path
) -> None:
    client = await service(crowds_url, tile_max_features=300, tile_sample_rows=1_000)
    path = "/collections/dots/tiles/WebMercatorQuad/0/0/0"
    bodies = set()
    for _ in range(3):
        async with client.get(path) as response:
            bodies.add(await response.read())
            assert "thinned, sampled=0.3333" in response.headers["Geosvc-Tile"]
    assert len(bodies) == 1
    features = read_tile(bodies.pop(), tmp_path, (0, 0, 0))["dots"]
    assert CROWD / 2 < shown(features) < CROWD * 2
    # a small part of the table is read as a whole
    async with client.get("/collections/dots/tiles/WebMercatorQuad/4/6/8") as response:
        assert "sampled" not in response.headers["Geosvc-Tile"]


async def test_which_statement_is_tried_first_changes_nothing(
    service: Service, crowds_url: str
) -> None:
    """Tiles before and after a crowded one of the same zoom, in both orders."""
    paths = [
        f"/collections/dots/tiles/WebMercatorQuad/3/{row}/{column}"
        for row in range(8)
        for column in range(8)
    ]
    answers = []
    for order in (paths, paths[::-1]):
        client = await service(crowds_url, tile_max_features=30)
        bodies = {}
        for path in order:
            async with client.get(path) as response:
                bodies[path] = (response.status, await response.read())
        answers.append(bodies)
    assert answers[0] == answers[1]


async def test_refused_geometries_of_a_large_table_are_found_within_the_limit(
    service: Service, bare_database_url: str
) -> None:
    """PostGIS does not know the SRID of some rows; the others are shown, up to the limit."""
    async with connected(bare_database_url) as writer:
        await writer.execute(
            "CREATE TABLE mixed (id int PRIMARY KEY, geom geometry);"
            "INSERT INTO mixed SELECT n, ST_SetSRID(ST_Point(n / 10.0, 1), 4326)"
            " FROM generate_series(1, 500) n;"
            "INSERT INTO mixed SELECT -n, ST_SetSRID(ST_Point(n, 1), 990001)"
            " FROM generate_series(1, 40) n"
        )
    client = await service(bare_database_url, tile_max_features=30)
    with seen(QueryEnded) as ended:
        async with client.get("/collections/mixed/tiles/WebMercatorQuad/0/0/0") as response:
            assert response.status == 200
            assert response.headers["Geosvc-Tile"] == "features=31, matched=31, thinned"
    looked = [each.run.rows or 0 for each in ended if each.run.name == "items.tile_digests"]
    assert len(looked) > 1
    assert max(looked) <= 31

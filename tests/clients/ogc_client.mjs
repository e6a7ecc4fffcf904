// What @camptocamp/ogc-client makes of the service at the address given: printed as JSON.
import { OgcApiEndpoint } from "@camptocamp/ogc-client";

const base = process.argv[2];
globalThis.location ??= new URL(base); // it resolves addresses against that of a page

const service = new OgcApiEndpoint(base);
const nested = new OgcApiEndpoint(`${base}/collections/countries`);
const box = [5, 45, 12, 52];
const address = (options) => service.getCollectionItemsUrl("countries", options);
const items = (...options) => service.getCollectionItems("countries", ...options);

console.log(
  JSON.stringify({
    info: await service.info,
    conformance: await service.conformanceClasses,
    hasFeatures: await service.hasFeatures,
    hasTiles: await service.hasTiles,
    hasRecords: await service.hasRecords,
    collections: await service.allCollections,
    featureCollections: await service.featureCollections,
    nested: await nested.featureCollections,
    countries: await service.getCollectionInfo("countries"),
    first: await items(3),
    later: await items(3, 100, true, ["-pop_est"], null, ["name", "pop_est"]),
    boxed: await items(1000, 0, true, ["+name"], box, ["name"]),
    edited: await service.getCollectionItems("streets", 10000, 0, true, null, null, ["name"], {
      start: new Date("2018-01-01T00:00:00Z"),
      end: new Date("2018-12-31T23:59:59Z"),
    }),
    filtered: await items(10, 0, true, null, null, ["name"], null, "continent=Oceania"),
    item: await service.getCollectionItem("countries", "FIN"),
    csv: await address({ outputFormat: "text/csv", limit: 2 }),
    sequence: await address({ outputFormat: "application/geo+json-seq", limit: 2 }),
    projected: await address({
      asJson: true,
      limit: 2,
      outputCrs: "http://www.opengis.net/def/crs/EPSG/0/3857",
      extent: box,
      extentCrs: "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
    }),
  }),
);

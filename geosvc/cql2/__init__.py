"""CQL2, the Common Query Language of OGC 21-065r2: text and JSON to one typed tree. Pure: it knows no collection and no SQL."""

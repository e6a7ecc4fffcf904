"""One module for each resource. A handler parses, plans, runs, encodes and sends; no SQL."""

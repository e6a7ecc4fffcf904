"""A tile as one statement: selection, geometries, values, and what is dropped. Pure."""

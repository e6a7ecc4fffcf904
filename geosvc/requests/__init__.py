"""HTTP requests parsed: query strings, bodies of searches, headers. Pure."""

"""What surrounds every handler: middleware, CORS, documents, streams, links, problems."""

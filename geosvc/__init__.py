"""geosvc puts a PostGIS database on the web: spatial tables as GeoJSON, streamed, fast and honest
about errors.
"""

__version__ = "0.1.0"

"""Services that geosvc is measured against."""

POOL_CONNECTIONS = 10  # of each process, as many as geosvc has by default

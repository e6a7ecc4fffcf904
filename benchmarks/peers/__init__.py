"""Services that geosvc is measured against."""

"""The bounds of geometries, as four numbers."""

Bounds = tuple[float, float, float, float]
"""(xmin, ymin, xmax, ymax) in the unit of their CRS."""

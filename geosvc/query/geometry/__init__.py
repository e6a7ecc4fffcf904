"""Geometry columns in SQL: how they are filtered and written. Pure."""

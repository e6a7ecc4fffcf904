"""Statements that read features, counts and extents."""

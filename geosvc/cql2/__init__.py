"""Parses CQL2, the Common Query Language of OGC 21-065r2: text and JSON become one typed tree.

Pure: it knows neither collections nor SQL.
"""

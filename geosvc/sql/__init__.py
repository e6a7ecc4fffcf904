"""SQL text: composed from safe parts, or read from named files."""

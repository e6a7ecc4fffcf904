"""CQL2 trees to SQL conditions. Pure."""

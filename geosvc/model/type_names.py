"""Families of PostgreSQL's types, by their names in `pg_type`."""

WHOLE_NUMBER_BITS = {"int2": 16, "int4": 32, "int8": 64}
"""The bits of the whole numbers, with the sign."""

WHOLE_NUMBERS = frozenset(WHOLE_NUMBER_BITS)
FLOATS = frozenset({"float4", "float8"})
NUMBERS = WHOLE_NUMBERS | FLOATS | {"numeric"}

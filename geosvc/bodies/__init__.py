"""Posted bodies: inflated, cut into features, decoded and checked. Pure.

`geosvc load` uses it too.
"""

"""Texts of requests to typed values: numbers, times, ids, names of CRSs. Pure."""

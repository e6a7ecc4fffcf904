"""Keeps answers in memory, each for one version of the table that it is about."""

"""Answers kept in memory at the version of their table."""

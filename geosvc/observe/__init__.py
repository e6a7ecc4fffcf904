"""Subscribers to the events: what is logged."""

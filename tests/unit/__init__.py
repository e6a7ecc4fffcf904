"""Tests that need neither a database nor an event loop: seconds."""

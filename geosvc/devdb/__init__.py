"""The private PostgreSQL + PostGIS cluster of the demo and the tests."""

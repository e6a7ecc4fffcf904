"""What would help a slow query or a database, drawn from facts. Pure."""

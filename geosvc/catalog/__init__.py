"""From the rows of `sql/catalog.sql` to the collections that are served. No I/O."""

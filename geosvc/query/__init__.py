"""From a Collection and a request to a Statement: pure planning of SQL, no I/O."""

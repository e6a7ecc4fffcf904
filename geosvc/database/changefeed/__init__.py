"""The change log: publishing tables, following the log, reading changes."""

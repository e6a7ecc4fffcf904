"""Encoders without I/O: `begin() -> bytes`, `batch(rows) -> bytes`, `end(...) -> bytes`."""

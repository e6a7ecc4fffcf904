"""What is said of drivers, loops and statements elsewhere, measured here: docs/claims.md."""

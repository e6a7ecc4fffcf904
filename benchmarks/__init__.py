"""Benchmarks: ratios of geosvc against limits and peers, all measured in one run. See README.md."""

"""Figures of speed as ratios to a yardstick measured in the same run: `make bench`, docs/benchmarks.md."""

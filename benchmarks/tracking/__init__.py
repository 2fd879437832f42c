"""The tracking benchmark: `python -m benchmarks.tracking`."""

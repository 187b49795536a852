"""The whole story of a farm, on real processes: `python -m tests.demo`."""

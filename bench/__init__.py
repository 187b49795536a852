"""Benches: the product and its peers, measured in one run on one machine."""

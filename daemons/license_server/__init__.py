"""Issues, renews, lends and recovers license tokens."""

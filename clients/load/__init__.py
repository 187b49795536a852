"""The load generator: synthetic devices and users on a farm of anybody's, and what it took."""

"""The three servers of a farm, and what they share: effects, the shell, the store, the settings."""

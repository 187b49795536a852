"""The coordinator, its workers, and what they tell each other."""

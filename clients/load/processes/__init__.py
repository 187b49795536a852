"""The coordinator, its workers, and their messages."""

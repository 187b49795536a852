"""One person at a terminal: the visitor, its client's surface, its shell, its devices."""

"""A session's screen: its recent output, and an emulator that reads it on demand."""

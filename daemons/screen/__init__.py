"""What a session's screen shows: its recent output, and an emulator that reads it when asked."""

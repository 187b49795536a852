"""The session directory knows, and decides, which terminal server has a user's session."""

"""The session directory: which host a user's session is on, or is to be on."""

"""A logon as a pure procedure: from a list of hosts to a session, and back to it after a loss."""

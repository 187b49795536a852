"""A logon as a pure procedure: finds the user's session on a list of hosts, and returns to it after
a loss."""

"""One user at a terminal: the journey, the client, the shell, the devices."""

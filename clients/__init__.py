"""Everything that calls the daemons: the terminal client, administration, and their parts."""

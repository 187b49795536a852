"""The keeper, the one privileged process of a host: starts and keeps sessions' programs."""

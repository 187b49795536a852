"""The keeper: the one privileged process of a host; starts sessions' programs and keeps them."""

"""The tsfarm protocol: messages, frames, connections, discovery, tokens and identities.

Nothing here knows the daemons or the clients; everything but `transport` is free of input and
output, so that it can be published, documented and tested alone.
"""

"""The conformance suite: does a server, a directory or a client keep PROTOCOL.md?

`tsfarm conformance` plays it against any address. It knows the table of messages and the
requirements, and nothing else of the product: what it sends and hears are bytes.
"""

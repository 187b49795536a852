"""The conformance suite: is this a terminal server, a license server, a directory, a client?

`python -m tests.conformance` runs it against any address, `make test` in process. It knows the
table of messages and the requirements, and of the product nothing else: what it sends and hears
are bytes.
"""

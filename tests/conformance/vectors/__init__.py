"""Test vectors of the protocol, for implementations in any language.

All of them come from the table of messages: `make generate` writes them. README.md in this folder
describes the files.
"""

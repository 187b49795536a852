"""Writes what is derived from the table of messages and the chapters of the specification:
PROTOCOL.md, the written protocol, and tsfarm.lua, the dissector. `make generate` runs it.
"""

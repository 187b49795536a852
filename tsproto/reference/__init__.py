"""Prints PROTOCOL.md, the written protocol, from the table of messages and the chapters.

python -m tsproto.reference            prints it
python -m tsproto.reference --write    writes it beside the table
"""

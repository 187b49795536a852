"""Test vectors of the protocol, for implementations in any language.

    python -m tests.conformance.vectors            says whether the files are fresh
    python -m tests.conformance.vectors --write    writes them

All of them come from the table of messages. README.md in this folder describes the files.
"""

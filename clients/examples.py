"""The examples at the end of a command's help."""

from __future__ import annotations


def example(*lines: str) -> str:
    """A command's epilog: one example a line, not wrapped."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)

"""Files that hold a secret key, which only their owner may read."""

from __future__ import annotations

import stat
from pathlib import Path


def exposure(key: Path, owner: str) -> str:
    """Says that others could read this key, which is to prove its `owner`, and the next step;
    empty if they could not. Raises OSError."""
    mode = stat.S_IMODE(key.stat().st_mode)
    if not mode & 0o077:
        return ""
    return (
        f"{key} is open to others (mode {mode:04o}), who could pass for this {owner}: run"
        f" `chmod 600 {key}`"
    )

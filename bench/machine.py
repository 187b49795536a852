"""Describes the machine of the figures."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench import packages

LIBRARIES = ("uvloop", "msgpack", "msgspec", "apsw", "cryptography", "psycopg", "zeroconf")
PROGRAMS = {
    "redis-server": ["--version"],
    "postgres": ["--version"],
    "ssh": ["-V"],
    "tmux": ["-V"],
    "wrk": ["-v"],
}


def describe() -> dict[str, str]:
    """Machine and versions, by name."""
    found = {
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    for library in LIBRARIES:
        found[library] = version(library)
    for program, words in PROGRAMS.items():
        if path := packages.find(program):
            told = subprocess.run([path, *words], capture_output=True, text=True, check=False)
            lines = (told.stdout + told.stderr).strip().splitlines()
            found[program] = lines[0] if lines else "unknown"
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()

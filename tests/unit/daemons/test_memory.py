from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes
from daemons.memory import map_large_blocks

class Usage(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("a", "b", "c", "hblks", *"defghi")]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Usage
{call}
freed = bytearray(1024 * 1024)
del freed
before = mallinfo().hblks
held = [bytearray({size} * 1024) for _ in range(10)]
print(mallinfo().hblks - before)
"""


@pytest.mark.parametrize(
    ("call", "size", "mapped"),
    [("map_large_blocks()", 256, 10), ("map_large_blocks()", 64, 0), ("pass", 256, 0)],
)
def test_large_blocks_have_pages_of_their_own(call: str, size: int, mapped: int) -> None:
    program = PROGRAM.format(call=call, size=size)
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert int(found.stdout) == mapped

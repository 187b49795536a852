from __future__ import annotations

from clients.examples import example


def test_each_example_keeps_its_line() -> None:
    assert example("tsfarm a", "tsfarm b") == "\b\nExample:\n  tsfarm a\n  tsfarm b"

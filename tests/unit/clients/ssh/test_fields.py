from __future__ import annotations

import pytest

from clients.ssh.fields import Reader


def test_numbers_strings_and_the_rest_come_in_their_order() -> None:
    fields = Reader(b"\0\0\1\0" + b"\0\0\0\2hi" + b"\0\0\0\0" + b"end")
    assert (fields.number(), fields.string(), fields.string()) == (256, b"hi", b"")
    assert fields.rest() == b"end"
    assert fields.rest() == b""


@pytest.mark.parametrize("data", [b"", b"\0\0\0", b"\0\0\0\3hi", b"\xff\xff\xff\xffhi"])
def test_fields_that_end_too_early_are_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="too early"):
        Reader(data).string()

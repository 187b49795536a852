"""Random output and sizes: an emulator that is fed late shows what one fed at once shows."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from daemons.screen.emulator import MUCH_BYTES, GhosttyEmulator
from daemons.screen.lazy_emulator import BEHIND_BYTES, LazyEmulator
from tests.unit.screen.test_emulator import PARTS
from tests.unit.screen.test_lazy_emulator import COLUMNS, ROWS, Size, new_ring

MUCH = b"".join(b"line %d of many\r\n" % number for number in range(5000))
assert len(MUCH) > MUCH_BYTES
OUTPUT = st.lists(st.sampled_from(PARTS), max_size=20).map(b"".join)
TALL = (4, 600)  # so many rows that lines which had left come back
SIZES = st.tuples(st.integers(2, 30), st.integers(1, 12)) | st.just(TALL)
STEPS = st.lists(OUTPUT | SIZES | st.just(MUCH) | st.sampled_from(["ask", "rest"]), max_size=20)


@settings(deadline=None, max_examples=40)
@given(STEPS, st.sampled_from([64, 300, BEHIND_BYTES]))
def test_it_shows_what_an_emulator_shows_that_is_always_fed(
    steps: list[bytes | Size | str], capacity: int
) -> None:
    eager = GhosttyEmulator(COLUMNS, ROWS)
    with new_ring(capacity) as ring:
        lazy = LazyEmulator(ring, COLUMNS, ROWS, GhosttyEmulator)
        for step in [*steps, "ask"]:
            match step:
                case bytes():
                    for start in range(0, len(step), capacity):
                        piece = step[start : start + capacity]
                        lazy.before_write(len(piece))
                        ring.write(piece)
                    eager.feed(step)
                case (columns, rows):
                    lazy.resize(columns, rows)
                    eager.resize(columns, rows)
                case "rest":
                    lazy.rest()
                case _:
                    assert lazy.ask(lambda emulator: emulator.dump()) == eager.dump()

"""Every scenario ends with a look at what a successor would know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.license_server import scenario


@pytest.fixture(autouse=True)
def successors_know_what_is_durable() -> Iterator[None]:
    scenario.STARTED.clear()
    yield
    for server in scenario.STARTED:
        if server.is_running:
            server.successor()

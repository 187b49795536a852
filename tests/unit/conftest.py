"""Unit tests are quick: Hypothesis tries fewer examples here than by default."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", max_examples=40)
settings.load_profile("unit")

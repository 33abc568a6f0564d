"""What all tests share: how hard the property tests try."""

from __future__ import annotations

from hypothesis import settings

# The same examples every time: a run that fails can be run again. `make fuzz` looks for new ones.
settings.register_profile("default", derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=5_000, deadline=None)
settings.load_profile("default")

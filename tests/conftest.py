"""What all tests share: how hard the property tests try."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The same examples every time: a run that fails can be run again. `make fuzz` looks for new ones. How long anything
# takes is the machine's business, not a test's.
PATIENT = [HealthCheck.too_slow]
settings.register_profile("default", derandomize=True, deadline=None, suppress_health_check=PATIENT)
settings.register_profile("fuzz", max_examples=5_000, deadline=None, suppress_health_check=PATIENT)
settings.load_profile("default")

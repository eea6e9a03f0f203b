"""How hard the properties of the core are tried.

``HYPOTHESIS_PROFILE=soak pytest -o timeout=0 tests/core/test_promise.py`` tries for many minutes.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "core",
    deadline=None,  # a busy machine is not a broken law
    max_examples=120,
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow],
)
share = float(os.environ.get("SOAK") or 1)
settings.register_profile(
    "soak", settings.get_profile("core"), max_examples=max(120, int(3000 * share)), stateful_step_count=80
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "core"))

"""How hard the runs are: short in every run of the tests, long with ``make soak``.

``SOAK`` is the share of the full length, such as ``0.2``; ``SOAK_SEED`` repeats a run's random choices.
"""

import logging
import os
from random import Random

log = logging.getLogger("chaos")

SHARE = float(os.environ.get("SOAK") or 0)


def size(short: float, long: float) -> float:
    """Return the one of this run."""
    return max(short, long * SHARE)


def seeded() -> Random:
    """Return random choices that the log tells how to repeat."""
    seed = int(os.environ.get("SOAK_SEED") or Random().randrange(10**6))
    log.info("SOAK_SEED=%d", seed)
    return Random(seed)

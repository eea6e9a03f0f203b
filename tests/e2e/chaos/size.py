"""How hard the runs are: short in every run of the tests, long with ``make soak``."""

import os

IS_LONG = bool(os.environ.get("SOAK"))


def size(short: float, long: float) -> float:
    """The one of this run."""
    return long if IS_LONG else short

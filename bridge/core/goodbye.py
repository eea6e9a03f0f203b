"""In which order of time a stopping bridge lets its clients go, and when each is to come back."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

GENTLE: Final = 50.0
"""So many goodbyes a second, if the time is long enough for all: no bridge notices those few coming."""
PAUSE_SECONDS: Final = 1.0
"""Nobody is to come back sooner: a load balancer has to notice, or the next bridge to start."""


class Goodbye(NamedTuple):
    """One client's turn."""

    at: float
    """Seconds after the first."""
    retry_after: float
    """Seconds that it is told to stay away."""


def goodbyes(count: int, *, seconds: float, rate: float, random: Callable[[], float]) -> Iterator[Goodbye]:
    """The turns of ``count`` clients, within ``seconds``.

    They come back at no more than ``rate`` a second, which is what another bridge takes in, and not in step:
    ``random`` returns 0 to 1.
    """
    step = min(1 / GENTLE, seconds / count) if count else 0.0
    for place in range(count):
        at = place * step
        yield Goodbye(at, PAUSE_SECONDS + max(place / rate - at, 0.0) + random())

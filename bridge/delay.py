"""How late the event loop is: everything that the bridge does waits at least that long."""

import asyncio
from collections.abc import Callable
from time import perf_counter_ns
from typing import Final

from bridge.core.histogram import Histogram

_PERIOD_SECONDS: Final = 0.1
DELAY_MICROSECONDS: Final = tuple(
    1000 * ms for ms in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
)


async def watch_delay(delays: Histogram, clock: Callable[[], float]) -> None:
    """Set a timer ten times a second, for ever, and count by how many microseconds it was missed.

    ``clock`` is read each time, so that it sees the pauses.
    """
    period = int(_PERIOD_SECONDS * 1_000_000)
    while True:
        clock()
        began = perf_counter_ns()
        await asyncio.sleep(_PERIOD_SECONDS)
        delays.observe(max((perf_counter_ns() - began) // 1000 - period, 0))

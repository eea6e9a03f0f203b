"""A run: browsers that watch, crews that publish, and the comparison with the truth in the end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from time import monotonic

from tests.e2e.chaos.browser import Address, Browser, Shared
from tests.e2e.chaos.crew import Crew
from tests.e2e.chaos.oracle import check_browsers, check_kept, check_stream, wanted
from tests.e2e.chaos.record import Truth, read, recorded
from tests.e2e.chaos.views import View, everything, random_view
from tests.waiting import until

log = logging.getLogger("chaos")

_BROWSERS = 200
_CREWS = 50
_EVENTS_PER_SECOND = 5.0
_MISCHIEF_SECONDS = 6.0
_STUCK_SECONDS = 60.0
"""Nobody gets on for so long: what is missing then does not come, and the comparison says what it is."""
_SLOW = 20
"""Browsers that want everything with little room for it: some of them fall behind in every run."""
_SMALL = 4096
"""Bytes that the kernel holds for some of the browsers: these are soon behind when they do not read."""
_EXECUTIONS = [f"e{number}" for number in range(_CREWS)]
_NAMES = [f"c{number}" for number in range(10)]


@dataclass
class Audience:
    """Browsers with random views."""

    browsers: list[Browser]
    shared: Shared

    async def is_there(self) -> None:
        """Wait until all were connected once: what is published now is for them."""
        await until(lambda: all(browser.begin is not None for browser in self.browsers), seconds=60)

    async def has_all(self, truth: Truth) -> None:
        """Wait until everybody has come to the end of its view, or nobody gets on any more."""
        last = {}
        for browser in self.browsers:
            last[browser] = max(wanted(browser, truth), default=0)
            await asyncio.sleep(0)  # a long run has much to look through, and they are still connected
        left, moved = -1, monotonic()
        while left != 0 and monotonic() < moved + _STUCK_SECONDS:
            behind = [last[browser] - browser.cursor for browser in self.browsers]
            now = sum(distance for distance in behind if distance > 0)
            if now != left:
                left, moved = now, monotonic()
            await asyncio.sleep(0.1)


@asynccontextmanager
async def audience(address: Callable[[Random], Address], random: Random) -> AsyncIterator[Audience]:
    """Browsers that come back as long as this lasts; a quarter of them never leaves by itself."""
    shared = Shared()
    browsers = []
    async with asyncio.TaskGroup() as tasks:
        following = []
        for number in range(_BROWSERS):
            own = Random(random.random())
            view = View("global", everything) if number < _SLOW else random_view(own, _EXECUTIONS, _NAMES)
            browser = Browser(f"b{number}", view, address(own), shared, own)
            browser.receive_buffer = _SMALL if number < _SLOW or number % 3 == 0 else None
            browsers.append(browser)
            mischief = _MISCHIEF_SECONDS if number < _SLOW or number % 4 else 0.0
            following.append(tasks.create_task(browser.run(mischief=mischief)))
        yield Audience(browsers, shared)
        for task in following:
            task.cancel()


async def play(
    nats_url: str,
    address: Callable[[Random], Address],
    trouble: Callable[[], Awaitable[None]],
    random: Random,
) -> Audience:
    """Publish to an audience while there is trouble; afterwards everything must be where it belongs."""
    stop = asyncio.Event()
    async with recorded(nats_url) as record, audience(address, random) as watching:
        await watching.is_there()
        crews = [Crew(nats_url, e, _NAMES[n % 10], Random(n)) for n, e in enumerate(_EXECUTIONS)]
        async with asyncio.TaskGroup() as tasks:
            for crew in crews:
                tasks.create_task(crew.work(_EVENTS_PER_SECOND, stop))
            await trouble()
            stop.set()
        truth = await record.complete()
        await watching.has_all(truth)
    truth = await record.complete()
    log.info("%d events, %d deliveries", len(truth), sum(len(b.seqs) for b in watching.browsers))
    log.info("%s", dict(watching.shared.seen))
    check_stream(crews, truth)
    check_kept(truth, await read(nats_url))
    check_browsers(watching.browsers, watching.shared, truth)
    assert watching.shared.seen["connected"] > _BROWSERS, "nobody came back: nothing was tried"
    return watching

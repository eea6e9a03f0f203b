"""After a restart everybody comes back at once: all are served, and the stream is hardly read for it."""

import asyncio
from itertools import cycle, islice
from pathlib import Path
from random import Random
from signal import SIGKILL
from time import monotonic

import pytest

from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.e2e.chaos.browser import Browser, Shared
from tests.e2e.chaos.oracle import check_browsers
from tests.e2e.chaos.play import log
from tests.e2e.chaos.record import read
from tests.e2e.chaos.size import size
from tests.e2e.chaos.views import of_execution
from tests.e2e.chaos.world import bridge_server
from tests.nats_server import NatsServer
from tests.waiting import until

_COUNT = int(size(1000, 5000))
_EXECUTIONS = 50


async def _publish(url: str, count: int) -> None:
    async with EventPublisher(url) as publisher:
        for number in range(count):
            ids = {"execution_id": f"e{number % _EXECUTIONS}", "crew_id": "c1"}
            await publisher.publish(create_task_event(f"t{number}", "completed", result="x" * 300, **ids))


async def _follow(browsers: list[Browser], upto: list[int]) -> float:
    """All at once; seconds until the last is live. Returns when all have come to where they are to come."""
    began = monotonic()
    async with asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(browser.run()) for browser in browsers]
        await until(lambda: all(browser.is_live.is_set() for browser in browsers), seconds=120)
        seconds = monotonic() - began
        places = list(zip(browsers, upto, strict=True))
        await until(lambda: all(browser.cursor >= place for browser, place in places), seconds=60)
        for task in following:
            task.cancel()
    return seconds


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rate", [500.0, 5000.0], ids=["as by default", "as fast as they come"])
async def test_all_who_come_back_after_a_restart_are_served(tmp_path: Path, rate: float) -> None:
    (tmp_path / "nats").mkdir()
    server = NatsServer(tmp_path / "nats")
    server.start()
    shared = Shared()
    settings = {"max_connections_per_second": rate, "heartbeat_seconds": 25.0}
    try:
        async with bridge_server(tmp_path / "bridge", server.url, **settings) as bridge:
            views = [of_execution(f"e{n}") for n in range(_EXECUTIONS)]
            browsers = [
                Browser(f"b{n}", view, lambda: bridge.address, shared, Random(n))
                for n, view in enumerate(islice(cycle(views), _COUNT))
            ]
            await _follow(browsers, [0] * _COUNT)
            await bridge.end(SIGKILL)
            await _publish(server.url, 10 * _EXECUTIONS)
            truth = await read(server.url)
            ends = {f"e{n}": 9 * _EXECUTIONS + n + 1 for n in range(_EXECUTIONS)}
            await bridge.start()
            await bridge.ready()
            seconds = await _follow(browsers, [ends[f"e{n % _EXECUTIONS}"] for n in range(_COUNT)])
            reads = await bridge.metric('history_requests_total{by="read"')
            refused = await bridge.metric("connections_refused_total")
            log.info(
                "%d back at up to %g a second: the last is live after %.1f s; %d reads, %d refused",
                *(_COUNT, rate, seconds, reads, refused),
            )
    finally:
        server.stop()
    check_browsers(browsers, shared, truth)
    assert reads == 0, "the ring covers it"

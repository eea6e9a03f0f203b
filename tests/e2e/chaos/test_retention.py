"""What retention takes while a browser is away is told once, with exact bounds."""

import asyncio
import json
from pathlib import Path
from random import Random

import nats

from tests.e2e.chaos.browser import Browser, Shared
from tests.e2e.chaos.record import read
from tests.e2e.chaos.views import View, everything
from tests.e2e.chaos.world import BridgeServer, bridge_server
from tests.nats_server import NatsServer
from tests.waiting import soon, until

_KEPT = 300
_BEFORE, _MEANWHILE, _AFTER = 50, 1000, 20


async def _publish(url: str, count: int) -> None:
    client = await nats.connect(url)
    for number in range(count):
        body = {"task_id": f"t{number}", "data": {"result": "x" * 300}}
        await client.jetstream().publish("task.completed.c1.e1", json.dumps(body).encode())
    await client.close()


async def _follow(browser: Browser, upto: int) -> None:
    """Until it has come to ``upto``."""
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(browser.run())
        await until(lambda: browser.begin is not None and browser.cursor >= upto, seconds=60)
        following.cancel()


async def until_known(bridge: BridgeServer, since: int) -> None:
    """Wait until the bridge knows what retention took: it looks every few seconds."""

    async def look() -> bool:
        async with bridge.client.connect("crews/nobody", since=since) as listener:
            return bool(listener.first["recovery"]["reason"] == "too_old")

    await soon(look)


async def test_retention_during_a_disconnect_is_one_gap_with_exact_bounds(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    server = NatsServer(tmp_path / "nats")
    server.start()
    shared = Shared()
    try:
        await server.make_stream(max_msgs=_KEPT)
        async with bridge_server(tmp_path / "bridge", server.url, ring_bytes=30_000) as bridge:
            browser = Browser("b", View("crews/c1", everything), lambda: bridge.address, shared, Random(0))
            await _follow(browser, 0)
            await _publish(server.url, _BEFORE)
            await _follow(browser, _BEFORE)
            await _publish(server.url, _MEANWHILE)
            await until_known(bridge, _BEFORE)
            await _follow(browser, _BEFORE + _MEANWHILE)
            await _publish(server.url, _AFTER)
            await _follow(browser, _BEFORE + _MEANWHILE + _AFTER)
        kept = sorted(await read(server.url))
    finally:
        server.stop()

    first = _BEFORE + _MEANWHILE - _KEPT + 1
    assert kept[0] == first + _AFTER
    ((begin, end, _),) = browser.gaps
    assert (begin, end) == (_BEFORE + 1, first - 1)
    assert browser.seqs == [*range(1, _BEFORE + 1), *range(first, _BEFORE + _MEANWHILE + _AFTER + 1)]
    (problem,) = shared.problems
    assert "not recovered" in problem
    assert "'too_old'" in problem

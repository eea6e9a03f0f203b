"""Browsers that read nothing cost little memory, and the others nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic, monotonic_ns

import nats
import pytest

from tests.client import PREFIX
from tests.e2e.chaos.play import log
from tests.e2e.chaos.size import size
from tests.e2e.chaos.wire import Wire, connect
from tests.e2e.chaos.world import BridgeServer, bridge_server
from tests.nats_server import NatsServer
from tests.waiting import soon, until

_SLOW = int(size(500, 2000))
_FAST = int(size(100, 200))
_SECONDS = size(8, 30)
_PER_SECOND = 40
_LARGE = 8 * 1024
_SETTINGS = {
    "ring_bytes": 1_000_000,
    "stale_seconds": 300.0,
    "stalled_seconds": 300.0,
    "heartbeat_seconds": 25.0,
    "max_connections_per_second": 10_000,
}
_MARK = b'"result":"'


class Deaf:
    """Hears nothing of what it is told."""

    def on_text(self, payload: bytes) -> None:
        """Never minds."""


class Clock:
    """Notes how long each event was under way."""

    def __init__(self) -> None:
        self.latencies: list[float] = []

    def on_text(self, payload: bytes) -> None:
        """An event says when it was sent."""
        _, found, rest = payload.partition(_MARK)
        if found:
            self.latencies.append((monotonic_ns() - int(rest[: rest.index(b"|")])) / 1e6)

    def p99(self) -> float:
        """In milliseconds; begins anew."""
        latencies, self.latencies = sorted(self.latencies), []
        assert len(latencies) > 1000
        return latencies[len(latencies) * 99 // 100]


@asynccontextmanager
async def _connected(bridge: BridgeServer, crew: str, count: int, clock: Clock | Deaf) -> AsyncIterator[None]:
    """Browsers of a crew; the deaf ones read nothing once they were let in."""
    path, is_deaf = f"{PREFIX}/ws/crews/{crew}", isinstance(clock, Deaf)
    wires: list[Wire] = []
    async with AsyncExitStack() as lifetime:
        for _ in range(count):
            wire = await connect(clock, bridge.address, path, receive_buffer=4096 if is_deaf else None)
            lifetime.callback(wire.cut)
            wires.append(wire)
            assert await wire.opened == 101
            if is_deaf:
                wire.pause()
        yield


async def _publish(url: str, seconds: float) -> None:
    """Small events for the fast, large ones for the slow, evenly."""
    client = await nats.connect(url)
    begin = monotonic()
    for number in range(int(seconds * _PER_SECOND)):
        await asyncio.sleep(max(begin + number / _PER_SECOND - monotonic(), 0))
        for crew, size_ in (("fast", 200), ("slow", _LARGE)):
            body = {"data": {"result": f"{monotonic_ns()}|{'x' * size_}"}}
            text = json.dumps(body, separators=(",", ":"))
            await client.publish(f"task.completed.{crew}.e1", text.encode())
    await client.close()


async def _measured(url: str, clock: Clock) -> float:
    clock.latencies.clear()
    await _publish(url, _SECONDS)
    return clock.p99()


async def _best(url: str, clock: Clock, enough: float) -> float:
    """Measured up to three times: what others do on this machine only adds, and not each time."""
    best = await _measured(url, clock)
    for _ in range(2):
        if best > enough:
            best = min(best, await _measured(url, clock))
    return best


async def _all_behind(bridge: BridgeServer, url: str) -> None:
    """Fill what the slow have of buffers, until none of them is at the head."""

    async def look() -> bool:
        await _publish(url, 0.5)
        return await bridge.metric('cursors{state="live"}') <= _FAST

    await soon(look, seconds=120)


@pytest.mark.timeout(600)
async def test_slow_browsers_delay_nobody_and_cost_little(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    server = NatsServer(tmp_path / "nats")
    server.start()
    clock = Clock()
    try:
        async with (
            bridge_server(tmp_path / "bridge", server.url, **_SETTINGS) as bridge,
            _connected(bridge, "fast", _FAST, clock),
        ):
            alone = [await _measured(server.url, clock)]
            before = bridge.rss()
            async with _connected(bridge, "slow", _SLOW, Deaf()):
                await _all_behind(bridge, server.url)
                beside = await _best(server.url, clock, 2 * alone[0])
                peak = bridge.rss()
                assert await bridge.metric('cursors{state="live"}') == _FAST
            some = (peak - before) // 8
            await until(lambda: bridge.rss() < peak - some, seconds=60)
            after = bridge.rss()
            alone.append(await _measured(server.url, clock))
            async with _connected(bridge, "slow", _SLOW, Deaf()):
                await _all_behind(bridge, server.url)
                again = bridge.rss()
    finally:
        server.stop()
    kib = (peak - before) / 1024 / _SLOW
    log.info(
        "p99 %.1f and %.1f ms alone, %.1f ms beside %d slow; %.0f KiB each; RSS %d, %d, %d, %d MiB",
        *(*alone, beside, _SLOW, kib, before >> 20, peak >> 20, after >> 20, again >> 20),
    )
    assert beside <= 2 * max(alone)
    assert kib < 256
    assert again - peak < (peak - before) / 2, "the second crowd takes what the first one left"

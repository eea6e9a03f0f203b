"""A client that comes from a quicker bridge is not told that it came from nowhere."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bridge import seeker
from bridge.crew import EventPublisher
from contracts import create_task_event
from tests.client import PREFIX, Client
from tests.conftest import StartBridge
from tests.nats_server import NatsServer
from tests.proxy import Proxy, proxied

_QUICK = {"feed_heartbeat_seconds": 1.0}


@pytest.fixture
def nats_url(tmp_path: Path) -> Iterator[str]:
    """A server that nobody else publishes to."""
    server = NatsServer(tmp_path)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
async def proxy(nats_url: str) -> AsyncIterator[Proxy]:
    """Between the slow bridge and the server."""
    async with proxied(nats_url) as proxy:
        yield proxy


async def _publish(nats_url: str, count: int) -> None:
    async with EventPublisher(nats_url) as publisher:
        for number in range(count):
            await publisher.publish(create_task_event(f"t{number}", "completed", execution_id="e1"))


async def _ahead(quick: Client, nats_url: str) -> dict[str, object]:
    """The cursor of a client of the quick bridge, after events that the slow one has not seen."""
    async with quick.connect("global") as listener:
        await _publish(nats_url, 5)
        events = await listener.events(5)
        return {"since": events[-1]["position"]}


async def test_a_bridge_that_is_behind_comes_as_far_as_the_client_first(
    start_bridge: StartBridge, proxy: Proxy, nats_url: str
) -> None:
    async with start_bridge() as quick, start_bridge(nats_url=proxy.url, **_QUICK) as slow:
        proxy.stall()
        cursor = await _ahead(quick, nats_url)
        asyncio.get_running_loop().call_later(1.5, proxy.resume)
        async with slow.connect("global", **cursor) as listener:
            assert listener.first["recovery"]["reason"] == "nothing_missed"
            await _publish(nats_url, 1)
            assert (await listener.message())["seq"] == 6


async def test_so_it_does_for_who_subscribes_later(
    start_bridge: StartBridge, proxy: Proxy, nats_url: str
) -> None:
    async with (
        start_bridge() as quick,
        start_bridge(nats_url=proxy.url, **_QUICK) as slow,
        slow.connect("custom") as listener,
    ):
        proxy.stall()
        cursor = await _ahead(quick, nats_url)
        asyncio.get_running_loop().call_later(1.5, proxy.resume)
        answer = await listener.ask({"action": "subscribe", "subscriptions": ["global"]} | cursor)
        assert answer["recovery"]["reason"] == "nothing_missed"


async def test_a_cursor_that_the_stream_never_came_to_is_unknown(start_bridge: StartBridge) -> None:
    async with start_bridge(**_QUICK) as bridge, bridge.connect("custom") as listener:
        answer = await listener.ask({"action": "subscribe", "subscriptions": ["global"], "since": 10**9})
        assert answer["recovery"]["reason"] == "unknown_cursor"


async def test_who_is_ahead_for_too_long_is_told_to_come_again(
    start_bridge: StartBridge, proxy: Proxy, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeker, "_PATIENCE_SECONDS", 0.3)
    async with (
        start_bridge() as quick,
        start_bridge(nats_url=proxy.url, **_QUICK) as slow,
        slow.connect("custom") as listener,
    ):
        proxy.stall()
        cursor = await _ahead(quick, nats_url)
        address = f"{slow.url.replace('http', 'ws', 1)}{PREFIX}/ws/global?{urlencode(cursor)}"
        with pytest.raises(InvalidStatus) as refused:
            await connect(address)
        answer = await listener.ask({"action": "subscribe", "subscriptions": ["global"]} | cursor)
        proxy.resume()
    assert refused.value.response.status_code == 503
    assert refused.value.response.body is not None
    assert json.loads(refused.value.response.body)["code"] == answer["code"] == "unavailable"

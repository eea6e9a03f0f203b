"""A client that does not read: it leaves the head, loses nothing, delays nobody, and is cut in the end."""

import errno
import gc
import json
import socket as sockets
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import nats
import pytest

from bridge.core.delivery import MAX_BATCH
from bridge.web.session import Session
from tests.client import PREFIX, Client, Json
from tests.conftest import StartBridge
from tests.nats_server import NatsServer
from tests.processes import bridge_process
from tests.waiting import soon, until
from tests.web.raw import CLOSE, SMALL, RawClient, frame, raw_client

_PING = frame('{"action":"ping"}')
_GOODBYE = frame(b"\x03\xe8", CLOSE)
_BUFFER = 64 * 1024
_COUNT = 400
_SIZE = 8 * 1024
"""All of it together is several times what the kernel and the buffers of one connection hold."""


class Start(Protocol):
    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[Client]: ...


@pytest.fixture
def nats_url(tmp_path: Path) -> Iterator[str]:
    """A server for one test: what is published here would fill everybody's rings."""
    server = NatsServer(tmp_path)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(params=["asyncio", "uvloop"])
def start(request: pytest.FixtureRequest, start_bridge: StartBridge, nats_url: str) -> Start:
    """Starts a bridge whose buffers are small: in this process, or in one of its own on uvloop."""

    @asynccontextmanager
    async def in_process_of_its_own(**settings: Any) -> AsyncIterator[Client]:
        pytest.importorskip("uvloop")
        async with bridge_process(nats_url=nats_url, buffer_bytes=_BUFFER, **settings) as bridge:
            yield bridge.client

    def here(**settings: Any) -> AbstractAsyncContextManager[Client]:
        return start_bridge(buffer_bytes=_BUFFER, **settings)

    return here if request.param == "asyncio" else in_process_of_its_own


async def _flood(bridge: Client, execution_id: str, count: int = _COUNT, first: int = 0) -> None:
    """Publish numbered events, as fast as it goes."""
    client = await nats.connect(bridge.nats_url)
    for number in range(first, first + count):
        body = {"task_id": f"t{number}", "data": {"result": "x" * _SIZE}}
        await client.publish(f"task.completed._.{execution_id}", json.dumps(body).encode())
    await client.flush()
    await client.close()


async def _explained(bridge: Client, client_id: str) -> Json | None:
    _, body = await bridge.get(f"{PREFIX}/connections")
    return next((c for c in body["data"]["connections"] if c["client_id"] == client_id), None)


async def _metric(bridge: Client, name: str) -> float:
    _, text = await bridge.get("/metrics")
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


async def _behind(bridge: Client, client_id: str, head: int) -> Json:
    """The connection's statistics, once it lags behind and the head is ``head``."""

    async def look() -> Json | None:
        found = await _explained(bridge, client_id)
        return found if found and found["lag"] > 0 and found["cursor"] + found["lag"] >= head else None

    return await soon(look)


async def _is_reset(client: RawClient) -> bool:
    """Whether the bridge has reset the connection; nothing of it is read."""
    return client.socket.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR) == errno.ECONNRESET


async def _tasks(client: RawClient, count: int) -> list[str]:
    return [(await client.message())["task_id"] for _ in range(count)]


def _names(count: int, first: int = 0) -> list[str]:
    return [f"t{number}" for number in range(first, first + count)]


async def test_it_leaves_the_head_and_gets_everything_once_and_in_order_when_it_reads_again(
    start: Start, new_id: str
) -> None:
    async with (
        start() as bridge,
        bridge.connect(f"executions/{new_id}") as quick,
        raw_client(bridge, f"executions/{new_id}", receive_buffer=SMALL) as slow,
    ):
        begin = slow.first["cursor"]
        await _flood(bridge, new_id)
        assert [event["task_id"] for event in await quick.events(_COUNT)] == _names(_COUNT)

        statistics = await _behind(bridge, slow.first["client_id"], begin + _COUNT)
        assert statistics["buffered_bytes"] <= _BUFFER + MAX_BATCH + 2 * _SIZE
        assert await _metric(bridge, "crew_bridge_fell_behind_total") >= 1
        assert await _metric(bridge, 'crew_bridge_cursors{state="live"}') == 1

        assert await _tasks(slow, _COUNT) == _names(_COUNT)
        await _flood(bridge, new_id, 3, first=_COUNT)
        assert await _tasks(slow, 3) == _names(3, first=_COUNT)
        assert await _metric(bridge, 'crew_bridge_cursors{state="live"}') == 2
        assert await _metric(bridge, "crew_bridge_gaps_total") == 0


async def test_it_falls_behind_again_and_again_and_loses_nothing(start: Start, new_id: str) -> None:
    async with (
        start() as bridge,
        raw_client(bridge, f"executions/{new_id}", receive_buffer=SMALL) as slow,
    ):
        for first in range(0, 4 * _COUNT, _COUNT):
            await _flood(bridge, new_id, first=first)
            half = _COUNT // 2
            assert await _tasks(slow, half) == _names(half, first // 2)
        assert await _tasks(slow, 2 * _COUNT) == _names(2 * _COUNT, 2 * _COUNT)


async def test_what_the_ring_has_forgotten_meanwhile_is_read_from_the_stream(
    start: Start, new_id: str
) -> None:
    async with (
        start(ring_bytes=20 * _SIZE) as bridge,
        raw_client(bridge, f"executions/{new_id}", receive_buffer=SMALL) as slow,
    ):
        begin = slow.first["cursor"]
        await _flood(bridge, new_id)
        await _behind(bridge, slow.first["client_id"], begin + _COUNT)

        assert await _tasks(slow, _COUNT) == _names(_COUNT)
        assert await _metric(bridge, "crew_bridge_gaps_total") == 0
        assert await _metric(bridge, "crew_bridge_history_requests_total") >= 1


def _sessions() -> list[Session]:
    """Those that something still refers to; the bridge's collector may have set garbage aside for later."""
    gc.unfreeze()
    gc.collect()
    return [session for session in gc.get_objects() if isinstance(session, Session)]


async def test_one_that_never_reads_is_cut_off_and_forgotten(start: Start, new_id: str) -> None:
    others = _sessions()
    async with (
        start(stale_seconds=0.5) as bridge,
        raw_client(bridge, f"executions/{new_id}", receive_buffer=SMALL) as slow,
    ):
        await _flood(bridge, new_id)
        await soon(lambda: _metric(bridge, "crew_bridge_stale_total"))
        assert await _explained(bridge, slow.first["client_id"]) is None
        await soon(lambda: _is_reset(slow))
        await until(lambda: all(session in others for session in _sessions()))


async def test_one_that_asks_but_does_not_read_is_cut_off_too(start: Start, new_id: str) -> None:
    async with (
        start(stale_seconds=0.5) as bridge,
        raw_client(bridge, f"executions/{new_id}", receive_buffer=SMALL) as slow,
    ):
        begin = slow.first["cursor"]
        await _flood(bridge, new_id)
        await _behind(bridge, slow.first["client_id"], begin + _COUNT)
        await slow.send(_PING)
        await soon(lambda: _is_reset(slow))
        assert await _metric(bridge, 'crew_bridge_connections_closed_total{code="4002"}') == 1


async def test_one_that_says_goodbye_but_does_not_read_is_cut_off_too(start: Start, new_id: str) -> None:
    async with (
        start() as bridge,
        raw_client(bridge, f"executions/{new_id}", receive_buffer=SMALL) as slow,
    ):
        begin = slow.first["cursor"]
        await _flood(bridge, new_id)
        await _behind(bridge, slow.first["client_id"], begin + _COUNT)
        await slow.send(_GOODBYE)
        await soon(lambda: _metric(bridge, 'crew_bridge_connections_closed_total{code="1000"}'))
        await soon(lambda: _is_reset(slow))


async def test_one_that_resets_while_its_bridge_waits_for_it_leaves_nothing_behind(
    start: Start, new_id: str
) -> None:
    async with start() as bridge:
        async with raw_client(bridge, f"executions/{new_id}", receive_buffer=SMALL) as slow:
            begin = slow.first["cursor"]
            await _flood(bridge, new_id)
            await _behind(bridge, slow.first["client_id"], begin + _COUNT)
            await slow.send(_PING)
        await soon(lambda: _metric(bridge, "crew_bridge_connections_closed_total"))
        assert await _metric(bridge, "crew_bridge_connections{") == 0


async def test_one_that_takes_nothing_is_cut_off_to_come_back_and_resume(start: Start, new_id: str) -> None:
    async with start(stalled_seconds=0.5) as bridge:
        async with raw_client(bridge, f"executions/{new_id}", receive_buffer=SMALL) as slow:
            begin, epoch = slow.first["cursor"], slow.first["epoch"]
            await _flood(bridge, new_id)
            await _behind(bridge, slow.first["client_id"], begin + _COUNT)
            await soon(lambda: _metric(bridge, 'crew_bridge_connections_closed_total{code="4004"}'))
            assert await _metric(bridge, "crew_bridge_stalled_total") == 1
        async with bridge.connect(f"executions/{new_id}", since=begin, epoch=epoch) as again:
            assert [event["task_id"] for event in await again.events(_COUNT)] == _names(_COUNT)


async def test_how_far_it_is_behind_can_be_asked(start: Start, new_id: str) -> None:
    async with (
        start() as bridge,
        raw_client(bridge, f"executions/{new_id}", receive_buffer=SMALL) as slow,
    ):
        client_id = slow.first["client_id"]
        await _flood(bridge, new_id)
        await _behind(bridge, client_id, slow.first["cursor"] + _COUNT)
        _, body = await bridge.get(f"{PREFIX}/connections/{client_id}")
        behind = body["data"]
        assert 0 < behind["lag_events"] <= _COUNT
        assert behind["lag_bytes"] > behind["lag_events"] * _SIZE
        assert behind["lag_milliseconds"] >= 0
        assert behind["lag_is_exact"]
        assert behind["state"] == "waiting"
        await _tasks(slow, _COUNT)

        async def is_live() -> bool:
            _, body = await bridge.get(f"{PREFIX}/connections/{client_id}")
            return bool(body["data"]["state"] == "live" and body["data"]["lag_events"] == 0)

        await soon(is_live)

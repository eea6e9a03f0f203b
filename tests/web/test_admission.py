"""How many clients are let in, and how fast; and how a bridge that stops lets them go."""

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bridge.config import Settings
from bridge.crew import EventPublisher
from bridge.service import Bridge, Running
from bridge.web.server import listening
from bridge.web.shore import SHORE
from contracts import create_task_event
from tests.client import PREFIX
from tests.conftest import Client, StartBridge
from tests.processes import bridge_process
from tests.waiting import soon
from tests.web.raw import raw_client


async def _refusal(bridge: Client) -> tuple[int, str, Any]:
    """Status, ``Retry-After`` and body for a client that is not let in."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{bridge.url.replace('http', 'ws', 1)}{PREFIX}/ws/global")
    answer = refused.value.response
    assert answer.body is not None
    return answer.status_code, answer.headers["Retry-After"], json.loads(answer.body)


async def _refused(bridge: Client, code: str) -> float:
    _, text = await bridge.get("/metrics")
    name = f'crew_bridge_connections_refused_total{{code="{code}"}}'
    return sum(float(line.split()[-1]) for line in str(text).splitlines() if line.startswith(name))


async def test_beyond_the_most_connections_nobody_is_let_in_until_somebody_leaves(
    start_bridge: StartBridge,
) -> None:
    async with start_bridge(max_connections=2) as bridge, raw_client(bridge, "global"):
        async with raw_client(bridge, "global"):
            status, retry_after, body = await _refusal(bridge)
            assert (status, retry_after, body["code"]) == (503, "10", "too_many_connections")
        assert await _refused(bridge, "too_many_connections") == 1

        async def let_in() -> bool:
            try:
                async with connect(f"{bridge.url.replace('http', 'ws', 1)}{PREFIX}/ws/global"):
                    return True
            except InvalidStatus:
                return False

        await soon(let_in)


async def test_a_crowd_at_once_is_let_in_as_far_as_there_is_room(start_bridge: StartBridge) -> None:
    async def attempt(bridge: Client, lifetime: AsyncExitStack) -> bool:
        try:
            await lifetime.enter_async_context(raw_client(bridge, "global"))
        except AssertionError:
            return False
        return True

    async with start_bridge(max_connections=5) as bridge, AsyncExitStack() as lifetime:
        outcomes = await asyncio.gather(*(attempt(bridge, lifetime) for _ in range(40)))
    assert sum(outcomes) == 5


async def test_who_comes_too_fast_is_told_when_to_come_again_and_is_then_let_in(
    start_bridge: StartBridge,
) -> None:
    async with start_bridge(max_connections_per_second=0.5) as bridge, raw_client(bridge, "global"):
        status, retry_after, body = await _refusal(bridge)
        assert (status, body["code"]) == (503, "too_fast")
        assert 1 <= int(retry_after) <= 2
        assert await _refused(bridge, "too_fast") == 1
        assert (await bridge.get("/readyz"))[0] == 200, "machines are let in always"

        await asyncio.wait_for(_until_let_in(bridge), 20)


async def _until_let_in(bridge: Client) -> None:
    while True:
        try:
            async with connect(f"{bridge.url.replace('http', 'ws', 1)}{PREFIX}/ws/global"):
                return
        except InvalidStatus as error:
            await asyncio.sleep(int(error.response.headers["Retry-After"]))


async def test_goodbyes_are_spread_and_so_is_coming_back(nats_url: str) -> None:
    count = 60
    settings = {"drain_seconds": 4.0, "max_connections_per_second": 100}
    async with bridge_process(nats_url=nats_url, **settings) as bridge, AsyncExitStack() as lifetime:
        clients = [
            await lifetime.enter_async_context(raw_client(bridge.client, "global")) for _ in range(count)
        ]
        clock = asyncio.get_running_loop().time
        bridge.process.send_signal(signal.SIGTERM)
        await soon(lambda: _is_draining(bridge.client))

        async def leave(number: int) -> tuple[float, int, Any]:
            code, reason = await clients[number].closing()
            at = clock()
            clients[number].socket.close()
            return at, code, json.loads(reason)

        ends = await asyncio.gather(*(leave(number) for number in range(count)))
        assert await bridge.ended() == 0

    assert {code for _, code, _ in ends} == {4000}
    times = sorted(at for at, _, _ in ends)
    assert times[-1] - times[0] > 0.5, "1.2 s, if nobody is late"
    pauses = [reason["retry_after_ms"] for _, _, reason in ends]
    assert min(pauses) >= 1000
    assert len(set(pauses)) > count // 2


async def _is_draining(bridge: Client) -> bool:
    status, body = await bridge.get("/readyz")
    return (status, body["draining"]) == (503, True)


async def test_who_is_still_here_while_the_bridge_stops_is_served_as_ever(nats_url: str, new_id: str) -> None:
    """The last of many hears, after the bridge began to stop, what was published after that."""
    async with (
        bridge_process(nats_url=nats_url, drain_seconds=8.0) as bridge,
        AsyncExitStack() as lifetime,
        EventPublisher(nats_url) as publisher,
    ):
        await publisher.publish(create_task_event("t0", "completed", execution_id=new_id))
        for _ in range(200):
            await lifetime.enter_async_context(raw_client(bridge.client, "custom"))
        last = await lifetime.enter_async_context(raw_client(bridge.client, f"executions/{new_id}"))
        bridge.process.send_signal(signal.SIGTERM)
        await soon(lambda: _is_draining(bridge.client))
        await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
        assert (await last.message())["task_id"] == "t1"
        assert (await last.closing())[0] == 4000


async def test_a_request_that_ends_just_when_the_server_ceases_to_wait_is_no_fault(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.server._SHUTDOWN_SECONDS", 0.5)
    stop = asyncio.Event()

    async def handle(_: web.Request) -> web.Response:
        await stop.wait()
        await asyncio.sleep(0.49)
        return web.Response(text="done")

    app = web.Application()
    app[SHORE] = Bridge(Settings()).shore
    app.router.add_get("/", handle)
    async with asyncio.TaskGroup() as tasks, listening(app, "127.0.0.1", 0, room=10) as url:
        asking = tasks.create_task(Client(Running(url, "")).get("/"))
        await asyncio.sleep(0.2)
        stop.set()
        asyncio.get_running_loop().call_later(0.3, time.sleep, 0.5)  # both times pass at once
    assert asking.result() == (200, "done")
    assert [record.getMessage() for record in caplog.records] == []

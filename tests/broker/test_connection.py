"""The connection waits for its server, and outlives it."""

import asyncio

import pytest
from nats.aio.client import Client
from nats.errors import SlowConsumerError
from structlog.testing import capture_logs

from bridge.broker.connection import ConnectionEvents, connected
from tests.nats_server import NatsServer
from tests.proxy import proxied
from tests.waiting import until


async def test_a_server_that_is_not_up_yet_is_waited_for(server: NatsServer) -> None:
    server.stop()
    async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_connect(server.url))
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        server.start()


async def test_one_server_of_several_is_enough(server: NatsServer) -> None:
    async with asyncio.timeout(15):
        await _connect(f"nats://127.0.0.1:1 , {server.url}")


async def test_who_gives_up_waiting_gets_out() -> None:
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_connect("nats://127.0.0.1:1"))
        await asyncio.wait([waiting], timeout=0.2)
        waiting.cancel()


async def test_who_is_cancelled_at_any_moment_ends(server: NatsServer) -> None:
    """nats-py loses cancellations that come while it connects."""

    async def stay() -> None:
        async with connected(server.url, "test", ConnectionEvents()):
            await asyncio.Event().wait()

    for tenths in range(100):
        async with asyncio.TaskGroup() as tasks:
            staying = tasks.create_task(stay())
            await asyncio.wait([staying], timeout=tenths / 10_000)
            staying.cancel()
            await asyncio.wait([staying], timeout=10)
            assert staying.cancelled()


async def test_a_killed_server_is_come_back_to_and_everybody_told(server: NatsServer) -> None:
    events = ConnectionEvents()
    told: list[str] = []
    events.on_reconnect.append(lambda: told.append("reconnected"))
    async with connected(server.url, "test", events) as client:
        server.kill()
        await until(lambda: events.disconnects)
        server.start()
        await until(lambda: told)
        await client.flush()
    assert told == ["reconnected"]
    assert (events.disconnects, events.reconnects) == (1, 1), "the end is no disconnect"


async def test_an_answer_that_nobody_waits_for_any_more_does_no_harm(server: NatsServer) -> None:
    """nats-py's reading task ends for good with an InvalidStateError, and no ping is answered after."""
    events = ConnectionEvents()
    async with proxied(server.url) as proxy, connected(proxy.url, "test", events) as client:
        proxy.stall()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.rtt()
        proxy.resume()
        assert await client.rtt() > 0
        await client.flush()
    assert events.disconnects == 0


async def test_what_an_attempt_to_connect_that_failed_late_has_left_is_gone(server: NatsServer) -> None:
    """As where all is still from the first messages on, for the ten seconds that a ping may take."""
    async with connected(server.url, "test", ConnectionEvents()) as client:
        reading = client._reading_task
        client._status = Client.RECONNECTING
        await client._ps.parse(b"MSG task.completed 1 100000\r\nhalf of it")

        await client._select_next_server()
        await client._process_connect_init()
        await client.flush(timeout=5)

    assert reading is not None
    assert reading.done()


async def test_a_server_that_is_away_is_complained_of_once() -> None:
    events = ConnectionEvents()
    with capture_logs() as lines:
        await events.failed(ConnectionRefusedError())
        await events.failed(ConnectionRefusedError())
        await events.reconnected()
        await events.failed(ValueError("something else"))
    assert [line["log_level"] for line in lines] == ["warning", "debug", "info", "warning"]


async def test_dropped_messages_are_told_of_by_subscription_and_not_logged_one_by_one() -> None:
    events = ConnectionEvents()
    told: list[int] = []
    events.on_overflow.append(told.append)
    with capture_logs() as lines:
        await events.failed(SlowConsumerError("task.completed", "", 7, None))  # type: ignore[arg-type]
        await events.failed(OSError())
    assert told == [7]
    assert events.errors == 2
    assert [line["error"] for line in lines] == ["OSError"]


async def _connect(url: str) -> None:
    async with connected(url, "test", ConnectionEvents()) as client:
        await client.flush()

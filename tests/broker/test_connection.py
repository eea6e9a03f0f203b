"""The connection waits for its server, and outlives it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from nats.aio.client import Client
from nats.errors import SlowConsumerError
from structlog.testing import capture_logs

from bridge.broker.connection import FAULTS, ConnectionEvents, connected, stay_connected
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
    assert [line["log_level"] for line in lines] == ["error", "info", "warning"]


async def test_dropped_messages_are_told_of_by_subscription_and_not_logged_one_by_one() -> None:
    events = ConnectionEvents()
    told: list[int] = []
    events.on_overflow.append(told.append)
    with capture_logs() as lines:
        await events.failed(SlowConsumerError("task.completed", "", 7, None))  # type: ignore[arg-type]
        await events.failed(OSError())
    assert told == [7]
    assert events.errors == 2
    assert ["(OSError)" in line["event"] for line in lines] == [True]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[NatsServer]:
    """Not started yet, so that it can be configured."""
    directory = tmp_path / "own"
    directory.mkdir()
    server = NatsServer(directory)
    yield server
    server.stop()


async def _connect(url: str) -> None:
    async with connected(url, "test", ConnectionEvents()) as client:
        await client.flush()


@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.publish("task.completed", b"{}"),
        lambda client: client.subscribe("task.completed", cb=_ignore),
        lambda client: client.request("task.completed", b"{}"),
        lambda client: client.rtt(),
        lambda client: client.jetstream().stream_info("CREW_EVENTS"),
        lambda client: client._process_ping(),
    ],
    ids=["publish", "subscribe", "request", "rtt", "jetstream", "ping"],
)
def test_on_uvloop_too_whatever_is_done_while_the_connection_goes_fails_in_one_way(
    server: NatsServer, act: Callable[[Client], Awaitable[Any]]
) -> None:
    """A transport that is closed raises RuntimeError there, out of what nats-py writes by itself."""
    uvloop = pytest.importorskip("uvloop")

    async def lose() -> None:
        async with connected(server.url, "test", ConnectionEvents()) as client:
            await _break(client)
            with pytest.raises(FAULTS):
                await act(client)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(lose())


def test_on_uvloop_too_a_lost_connection_is_closed_whole(server: NatsServer) -> None:
    """Also where something was still to be sent, over a transport that takes nothing more."""
    uvloop = pytest.importorskip("uvloop")

    async def lose() -> None:
        async with connected(server.url, "test", ConnectionEvents()) as client:
            await client.subscribe("task.completed", cb=_ignore)
            await _break(client)
            await client._send_command(b"PING\r\n")
        assert client.is_closed
        assert not client._subs
        await until(lambda: len(asyncio.all_tasks()) == 1)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(lose())


@pytest.mark.parametrize(
    "words", [b"INFO {" + b"x" * 100_000, b"INFO\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
)
async def test_whatever_answers_in_place_of_nats_is_tried_again_and_ends_nothing(words: bytes) -> None:
    events = ConnectionEvents()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener, asyncio.TaskGroup() as tasks:
        host, port = listener.sockets[0].getsockname()
        trying = tasks.create_task(stay_connected(f"nats://{host}:{port}", "test", events))
        await until(lambda: events.errors > 1)
        assert not trying.done()
        trying.cancel()


@pytest.mark.parametrize("secret", ["s3cret", "p@ss/w:rd,%25 ü"])
async def test_the_credentials_of_an_address_are_sent_decoded(secret: str, own_server: NatsServer) -> None:
    own_server.configure(
        f"authorization {{ user: crew, password: {json.dumps(secret, ensure_ascii=False)} }}"
    )
    own_server.start()
    address = own_server.url.removeprefix("nats://")
    async with asyncio.timeout(10):
        await _connect(f"nats://crew:{quote(secret, safe='')}@{address}")


async def test_the_token_of_an_address_is_sent_decoded_and_to_any_server(own_server: NatsServer) -> None:
    """A server that others of its cluster tell of comes without the credentials that they all want."""
    own_server.configure("authorization { token: 'to/k%n' }")
    own_server.start()
    address = own_server.url.removeprefix("nats://")
    async with asyncio.timeout(10):
        await _connect(f"nats://to%2Fk%25n@127.0.0.1:1,nats://{address}")


async def _break(client: Client) -> None:
    """As a reset does that the reading task has not heard of yet, and the flushing task has."""
    flushing = client._flusher_task
    assert flushing is not None
    flushing.cancel()
    await asyncio.wait([flushing])
    transport: Any = client._transport
    transport._io_writer.transport.abort()


async def _ignore(_: object) -> None:
    """Whatever came."""

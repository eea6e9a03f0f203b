"""Who connects and asks for nothing takes neither files from others nor the operator's port."""

import asyncio
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bridge.crew import EventPublisher
from bridge.service import Running
from contracts import create_task_event
from tests.client import PREFIX
from tests.conftest import Client, StartBridge
from tests.nats_server import NatsServer
from tests.processes import environment
from tests.waiting import soon
from tests.web.raw import raw_client

_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))
if "{loop}" == "asyncio":
    sys.modules["uvloop"] = None
from bridge.cli import main
sys.exit(main(["serve"]))
"""
_HEAD = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_SLOW = f"POST {PREFIX}/broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(bridge: Client) -> AsyncIterator[Streams]:
    """A TCP connection that has said nothing."""
    address = urlsplit(bridge.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the end, which comes within five seconds."""
    async with asyncio.timeout(5):
        with suppress(ConnectionError):
            return await reader.read()
    return b""


async def _silent(bridge: Client, reason: str) -> float:
    _, text = await bridge.get("/metrics")
    name = f'crew_bridge_sockets_silent_total{{reason="{reason}"}}'
    return sum(float(line.split()[-1]) for line in str(text).splitlines() if line.startswith(name))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times of the acceptor, shortened."""
    monkeypatch.setattr("bridge.web.acceptor.REQUEST_SECONDS", 0.4)
    monkeypatch.setattr("bridge.web.acceptor.IDLE_SECONDS", 0.8)
    monkeypatch.setattr("bridge.web.acceptor.SWEEP_SECONDS", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_who_sends_no_request_in_time_is_ended_and_counted(start_bridge: StartBridge) -> None:
    async with (
        start_bridge() as bridge,
        connected(bridge) as (nothing, _),
        connected(bridge) as (reader, slow),
    ):
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(_byte_by_byte(slow))
            assert await _rest(nothing) == b""
            assert await _rest(reader) == b""
            sending.cancel()
        assert await _silent(bridge, "too_slow") == 2


async def _byte_by_byte(writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        for byte in _HEAD.encode():
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("impatient")
async def test_who_was_answered_may_ask_again_for_a_while(start_bridge: StartBridge) -> None:
    async with start_bridge() as bridge, connected(bridge) as (reader, writer):
        for _ in range(3):
            writer.write(_HEAD.encode())
            assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len('{"status": "ok"}'))
            await asyncio.sleep(0.45)
        writer.write(_HEAD[:20].encode())
        assert await _rest(reader) == b""
        assert await _silent(bridge, "too_slow") == 0


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("keep_alive", [75, 0.2], ids=["before", "after"])
async def test_who_takes_no_answer_is_ended(
    start_bridge: StartBridge, monkeypatch: pytest.MonkeyPatch, keep_alive: float
) -> None:
    """Also where aiohttp has begun to close the connection, and waits for what is to be sent first."""
    monkeypatch.setattr("bridge.web.server._KEEP_ALIVE_SECONDS", keep_alive)
    async with start_bridge() as bridge:
        address = urlsplit(bridge.url)
        with ExitStack() as stack:
            ends = []
            for requests in range(1, 16):
                client = stack.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect((address.hostname, address.port))
                client.sendall(_HEAD.replace("healthz", "openapi.json").encode() * requests)
                ends.append(f":{client.getsockname()[1]:04X} 01 ")
            assert await _open(ends) == ends

            async def has_ended() -> bool:
                return not await _open(ends)

            await soon(has_ended)


async def _open(ends: list[str]) -> list[str]:
    """Of which connections the bridge's side is established."""
    table = await asyncio.to_thread(Path("/proc/net/tcp").read_text)
    return [end for end in ends if end in table]


async def test_who_asked_while_the_bridge_did_not_run_is_answered(
    start_bridge: StartBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.acceptor.REQUEST_SECONDS", 1.0)
    async with start_bridge() as bridge, connected(bridge) as (reader, writer):
        await asyncio.sleep(0.1)
        writer.write(_HEAD.encode())
        time.sleep(3)  # noqa: ASYNC251 - the bridge is in this process
        assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")


async def test_who_is_gone_before_there_is_an_answer_takes_no_room(
    start_bridge: StartBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.assembly.sockets_for", lambda _: 3)
    monkeypatch.setattr("bridge.web.acceptor._GRACE_SECONDS", 0.1)
    async with start_bridge() as bridge:
        for _ in range(10):
            async with raw_client(bridge, "global") as client:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await asyncio.sleep(0.2)
        async with AsyncExitStack() as stack:
            for _ in range(9):
                await stack.enter_async_context(connected(bridge))
            async with asyncio.timeout(5):
                assert (await bridge.get("/healthz"))[0] == 200


@pytest.mark.usefixtures("impatient")
async def test_who_sends_a_body_too_slowly_is_told_so(
    start_bridge: StartBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.web.operation._BODY_SECONDS", 0.6)
    async with start_bridge() as bridge, connected(bridge) as (reader, writer):
        writer.write(_SLOW.encode())
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
        assert b" 408 " in head
        assert await _silent(bridge, "too_slow") == 0


@pytest.mark.usefixtures("impatient")
async def test_a_websocket_and_a_tap_are_no_silent_connections(
    start_bridge: StartBridge, publisher: EventPublisher, new_id: str
) -> None:
    async with (
        start_bridge() as bridge,
        raw_client(bridge, f"executions/{new_id}", client_id=new_id) as client,
        connected(bridge) as (reader, writer),
    ):
        writer.write(f"GET {PREFIX}/connections/{new_id}/tap HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(1.5)
        await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))

        assert (await client.message())["task_id"] == "t1"
        assert b"t1" in await reader.readuntil(b'"t1"')


async def test_the_longest_silent_make_room_for_who_asks(
    start_bridge: StartBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.assembly.sockets_for", lambda _: 5)
    monkeypatch.setattr("bridge.web.acceptor._GRACE_SECONDS", 0.2)
    async with start_bridge() as bridge, raw_client(bridge, "global") as client, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(bridge)) for _ in range(20)]
        assert (await bridge.get("/healthz"))[0] == 200
        assert await _rest(silent[0][0]) == b""
        assert await _silent(bridge, "no_room") >= 12
        await client.send(b"")
        async with raw_client(bridge, "global"):
            pass


@asynccontextmanager
async def limited(nats_url: str, files: int, loop: str) -> AsyncIterator[tuple[Client, Client, Path]]:
    """A bridge that may open so few files, its operator's port, and its process below ``/proc``."""
    settings = {"nats_url": nats_url, "port": 0, "operator_port": 0, "feed_heartbeat_seconds": 0.5}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _LIMITED.format(files=files, loop=loop)),
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said = ""
        async with asyncio.timeout(20):
            while said.count("] listening") < 2:
                said += (await process.stderr.readline()).decode()
        ports = re.findall(r"listening .*port=(\d+)", said)
        everybody, operator = (Client(Running(f"http://127.0.0.1:{port}", nats_url)) for port in ports)
        await soon(operator.is_ready)
        yield everybody, operator, Path(f"/proc/{process.pid}")
    finally:
        process.terminate()
        complaints = said + (await process.stderr.read()).decode()
        await process.wait()
    assert "Traceback" not in complaints, complaints
    assert "fewer open files than clients that may connect" in complaints
    assert "LimitNOFILE" in complaints


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_when_silent_clients_have_all_files_health_and_nats_have_theirs(
    tmp_path: Path, loop: str, new_id: str
) -> None:
    server = NatsServer(tmp_path)
    server.start()
    async with (
        limited(server.url, 150, loop) as (bridge, operator, process),
        raw_client(bridge, f"executions/{new_id}") as client,
        AsyncExitStack() as stack,
    ):
        for _ in range(250):
            await stack.enter_async_context(connected(bridge))
        for path in ("/healthz", "/metrics", "/readyz"):
            async with asyncio.timeout(1):
                assert (await operator.get(path))[0] == 200
        assert len(list((process / "fd").iterdir())) < 140
        async with asyncio.timeout(8):
            assert (await bridge.get("/healthz"))[0] == 200

        server.stop()
        server.start()
        await soon(operator.is_ready, 20)
        async with EventPublisher(server.url) as publisher:
            await publisher.publish(create_task_event("t1", "completed", execution_id=new_id))
        assert (await client.message())["task_id"] == "t1"
    server.stop()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_crowd_that_asks_at_once_is_answered_however_few_files_there_are(
    nats_url: str, loop: str
) -> None:
    async with limited(nats_url, 150, loop) as (bridge, _, _):
        answers = await asyncio.gather(*(_asked(bridge) for _ in range(400)))
    assert all(b" 200 OK" in answer for answer in answers)


async def _asked(bridge: Client) -> bytes:
    async with connected(bridge) as (reader, writer):
        writer.write(_HEAD.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode())
        async with asyncio.timeout(20):
            return await reader.read()

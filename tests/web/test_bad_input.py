"""Whatever a client sends, it is answered or closed as documented, and nobody else notices."""

import asyncio
import json
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from bridge.config import Settings
from bridge.crew import EventPublisher
from bridge.service import Bridge, Running
from bridge.web.server import listening
from bridge.web.shore import SHORE
from contracts import create_task_event
from tests.client import PREFIX, Json, Listener
from tests.conftest import Client, StartBridge
from tests.processes import bridge_process
from tests.processes import process as serving
from tests.waiting import soon
from tests.web.raw import BINARY, CLOSE, PING, PONG, TEXT, frame, handshake, raw_client


class Witness:
    """Another client of the same bridge, to whom nothing must happen."""

    def __init__(self, listener: Listener, publisher: EventPublisher, execution_id: str) -> None:
        self._listener = listener
        self._publisher = publisher
        self._execution_id = execution_id
        self._count = 0

    async def is_unharmed(self) -> bool:
        """Whether the next event comes, and it alone."""
        self._count += 1
        task = f"t{self._count}"
        await self._publisher.publish(create_task_event(task, "completed", execution_id=self._execution_id))
        return (await self._listener.message())["task_id"] == task and await self._listener.nothing_more()


@pytest.fixture
async def witness(bridge: Client, publisher: EventPublisher, new_id: str) -> AsyncIterator[Witness]:
    """Connected throughout; at the end too it must be unharmed."""
    async with bridge.connect(f"executions/{new_id}") as listener:
        witness = Witness(listener, publisher, new_id)
        assert await witness.is_unharmed()
        yield witness
        assert await witness.is_unharmed()


_DEEP = '{"action":"ping","id":' + "[" * 20_000 + "]" * 20_000 + "}"

_REFUSED: list[tuple[str, str, str | None]] = [
    ("", "invalid_json", None),
    ("{", "invalid_json", None),
    ("\0", "invalid_json", None),
    (_DEEP, "invalid_json", None),
    ("[]", "invalid_json", None),
    ("17", "invalid_json", None),
    ("null", "invalid_json", None),
    ("{}", "unknown_action", "action"),
    ('{"action":"explode"}', "unknown_action", "action"),
    ('{"action":7}', "unknown_action", "action"),
    ('{"action":"subscribe"}', "invalid_command", "subscriptions"),
    ('{"action":"subscribe","subscriptions":[]}', "invalid_command", "subscriptions"),
    ('{"action":"subscribe","subscriptions":"global"}', "invalid_command", "subscriptions"),
    ('{"action":"subscribe","subscriptions":[7]}', "invalid_command", "subscriptions.0"),
    ('{"action":"subscribe","subscriptions":["global"],"since":"1"}', "invalid_command", "since"),
    ('{"action":"subscribe","subscriptions":["global"],"since":-1}', "invalid_command", "since"),
    ('{"action":"subscribe","subscriptions":["no such"]}', "invalid_subscription", "subscriptions.0"),
    (
        '{"action":"subscribe","subscriptions":["global","nothing.*"]}',
        "invalid_subscription",
        "subscriptions.1",
    ),
    ('{"action":"unsubscribe","subscriptions":["global"]}', "not_subscribed", "subscriptions.0"),
    ('{"action":"filter","filter":{"types":["no.such"]}}', "invalid_command", "filter.types"),
    ('{"action":"filter","filter":{"colour":1}}', "invalid_command", "filter.colour"),
    ('{"action":"ping","extra":1}', "invalid_command", "extra"),
    ('{"action":"ping","id":1.5}', "invalid_command", "id"),
]


@pytest.mark.parametrize(("text", "code", "field"), _REFUSED)
async def test_what_is_no_command_is_refused_and_the_connection_lives(
    bridge: Client, witness: Witness, text: str, code: str, field: str | None
) -> None:
    async with bridge.connect("custom") as listener:
        error = await listener.ask(text)
        assert (error["type"], error["code"], error.get("field")) == ("error", code, field)
        assert error["message"]
        assert len(error["message"]) < 200
        assert await listener.nothing_more()


async def test_a_refused_command_gets_its_id_back(bridge: Client) -> None:
    async with bridge.connect("custom") as listener:
        assert (await listener.ask({"action": "explode", "id": "mine"}))["id"] == "mine"
        assert (await listener.ask({"action": "subscribe", "id": 3}))["id"] == 3
        answer = await listener.ask({"action": "unsubscribe", "subscriptions": ["global"], "id": "x"})
        assert answer["id"] == "x"


async def test_a_binary_message_is_refused_and_the_connection_lives(bridge: Client, witness: Witness) -> None:
    async with bridge.connect("custom") as listener:
        error = await listener.ask(b'{"action":"ping"}')
        assert error["code"] == "binary_unsupported"
        assert await listener.nothing_more()


async def test_a_message_of_10_mb_ends_its_connection_with_1009(bridge: Client, witness: Witness) -> None:
    async with bridge.connect("custom") as listener:
        with suppress(ConnectionClosed):
            await listener.socket.send("x" * 10_000_000)
        await listener.socket.wait_closed()
        assert listener.socket.close_code == 1009
        assert await _closed_codes(bridge) == {"1009": 1.0}


def _ping(size: int, filling: str = "x") -> str:
    """A command of so many bytes; too long an id makes it a refused one."""
    start = '{"action":"ping","id":"'
    room = size - len(start) - len('"}')
    wide = len(filling.encode())
    return start + filling * (room // wide) + "x" * (room % wide) + '"}'


@pytest.mark.parametrize("filling", ["x", "\u00e9", "\U0001f980"])
@pytest.mark.parametrize("deflate", [None, "compressed", "stored"])
@pytest.mark.parametrize("is_fragmented", [False, True])
async def test_a_message_may_be_as_large_as_the_limit_and_no_larger(
    start_bridge: StartBridge, filling: str, deflate: str | None, is_fragmented: bool
) -> None:
    level = {"level": 0} if deflate == "stored" else {}
    offer = ClientPerMessageDeflateFactory(compress_settings=level)
    async with start_bridge(max_message_bytes=1000, compression=True) as bridge:
        address = f"{bridge.url.replace('http', 'ws')}{PREFIX}/ws/custom"
        extensions = [] if deflate is None else [offer]
        async with connect(address, compression=None, extensions=extensions) as socket:
            assert len(socket.protocol.extensions) == len(extensions)
            await socket.recv()
            await socket.send(_parts(_ping(1000, filling), is_fragmented))
            assert json.loads(await socket.recv())["code"] == "invalid_command"

            await socket.send(_parts(_ping(1001, filling), is_fragmented))
            await socket.wait_closed()
            assert socket.close_code == 1009


@pytest.mark.parametrize("compression", [False, True])
async def test_a_binary_message_has_the_same_limit(start_bridge: StartBridge, compression: bool) -> None:
    async with (
        start_bridge(max_message_bytes=1000, compression=compression) as bridge,
        raw_client(bridge, "custom") as client,
    ):
        await client.send(frame(b"x" * 1000, BINARY))
        assert (await client.message())["code"] == "binary_unsupported"
        await client.send(frame(b"x" * 1001, BINARY))
        assert (await client.closing())[0] == 1009
        assert await _closed_codes(bridge) == {"1009": 1.0}


def _parts(text: str, is_fragmented: bool) -> str | list[str]:
    half = len(text) // 2
    return [text[:half], text[half:]] if is_fragmented else text


async def test_a_fragmented_message_that_grows_too_large_ends_with_1009(
    bridge: Client, witness: Witness
) -> None:
    async with raw_client(bridge, "custom") as client:
        part = b"x" * 30_000
        await client.send(frame(part, TEXT, fin=False))
        await client.send(frame(part, 0, fin=False))
        await client.send(frame(part, 0, fin=False))
        assert (await client.closing())[0] == 1009


async def test_too_many_refused_messages_end_the_connection_with_4500(
    start_bridge: StartBridge, publisher: EventPublisher, new_id: str
) -> None:
    async with (
        start_bridge(max_errors=3) as bridge,
        bridge.connect(f"executions/{new_id}") as listener,
        bridge.connect("custom") as bad,
    ):
        for _ in range(3):
            assert (await bad.ask("no json"))["code"] == "invalid_json"
        await bad.socket.send("no json")
        assert (await bad.message())["code"] == "invalid_json"
        await bad.socket.wait_closed()
        assert (bad.socket.close_code, bad.socket.close_reason) == (4500, "too many refused messages")
        assert await Witness(listener, publisher, new_id).is_unharmed()


async def test_of_many_bad_messages_at_once_none_is_answered_after_the_last_error(
    start_bridge: StartBridge,
) -> None:
    async with start_bridge(max_errors=3) as bridge, raw_client(bridge, "custom") as client:
        await client.send(frame("no json") * 50 + frame(struct.pack(">H", 1000), CLOSE))
        answers = [(await client.message())["code"] for _ in range(4)]
        assert answers == ["invalid_json"] * 4
        assert (await client.closing())[0] == 4500
        assert await client.ends() in {"eof", "reset"}
        assert await _closed_codes(bridge) == {"4500": 1.0}


async def test_pings_are_answered_and_pongs_and_fragments_understood(
    bridge: Client, witness: Witness
) -> None:
    async with raw_client(bridge, "custom") as client:
        await client.send(frame(b"hello", PING))
        assert await client.frame() == (PONG, b"hello")
        await client.send(frame(b"unasked", PONG))
        await client.send(frame('{"action":', TEXT, fin=False) + frame(b"", PING))
        assert await client.frame() == (PONG, b"")
        await client.send(frame('"ping"}', 0))
        assert (await client.message())["type"] == "pong"


@pytest.mark.parametrize(("code", "counted"), [(1000, "1000"), (1001, "1001"), (4321, "other")])
async def test_a_close_frame_is_answered_and_ends_the_connection(
    bridge: Client, witness: Witness, code: int, counted: str
) -> None:
    async with raw_client(bridge, "custom") as client:
        await client.send(frame(struct.pack(">H", code) + b"bye", CLOSE))
        opcode, _ = await client.frame()
        assert opcode == CLOSE
        assert await client.ends() == "eof"
        assert await _closed_codes(bridge) == {counted: 1.0}


@pytest.mark.parametrize(
    "data",
    [
        frame(b"\xff\xfe", TEXT),
        frame(b"x", 0x3),
        frame(b"", CLOSE, fin=False),
        frame(b"x", CLOSE),
        frame(b"x" * 126, PING),
        frame('{"action":"ping"}', 0),
        b"\xf1" + frame("x")[1:],
    ],
    ids=["no UTF-8", "opcode 3", "cut close", "short close", "long ping", "no first part", "reserved bits"],
)
async def test_a_breach_of_the_protocol_ends_its_connection(
    bridge: Client, witness: Witness, data: bytes
) -> None:
    async with raw_client(bridge, "custom") as client:
        await client.send(data)
        code, _ = await client.closing()
        assert code in {1002, 1007}
        assert await client.ends() in {"eof", "reset"}
        assert await _closed_codes(bridge) == {str(code): 1.0}


async def test_a_client_that_goes_in_the_middle_of_a_frame_leaves_nothing_behind(
    bridge: Client, witness: Witness
) -> None:
    async with raw_client(bridge, "custom") as client:
        await client.send(frame('{"action":"ping"}')[:9])
    await _has_connections(bridge, 1)


async def test_a_client_that_goes_with_a_reset_leaves_nothing_behind(
    bridge: Client, witness: Witness
) -> None:
    async with raw_client(bridge, "global") as client:
        _reset_on_close(client.socket)
    await _has_connections(bridge, 1)


async def test_a_client_that_has_said_all_but_still_reads_is_let_go(bridge: Client, witness: Witness) -> None:
    async with raw_client(bridge, "global") as client:
        client.socket.shutdown(1)
        assert await client.ends() == "eof"
    await _has_connections(bridge, 1)


async def test_a_thousand_pings_of_a_client_that_reads_nothing_wait_for_it(
    bridge: Client, witness: Witness
) -> None:
    async with raw_client(bridge, "custom", receive_buffer=4096) as client:
        flood = frame(json.dumps({"action": "list"})) * 20_000
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(client.send(flood))
            assert await witness.is_unharmed()
            for _ in range(20_000):
                assert (await client.message())["type"] == "listed"
            await sending


async def test_on_uvloop_too_every_kind_of_end_is_one_without_a_fault(nats_url: str) -> None:
    pytest.importorskip("uvloop")
    async with bridge_process(nats_url=nats_url, max_errors=3) as process:
        bridge = process.client
        async with bridge.connect("custom") as large:
            with suppress(ConnectionClosed):
                await large.socket.send("x" * 10_000_000)
            await large.socket.wait_closed()
            assert large.socket.close_code == 1009
        async with raw_client(bridge, "custom") as bad:
            await bad.send(frame("no json") * 50)
            assert (await bad.closing())[0] == 4500
        async with raw_client(bridge, "global") as breach:
            await breach.send(frame(b"x", 0x3))
            assert (await breach.closing())[0] == 1002
        async with raw_client(bridge, "global") as polite:
            await polite.send(frame(b"\x03\xe8", CLOSE))
            assert await polite.ends() == "eof"
        async with raw_client(bridge, "global") as rude:
            _reset_on_close(rude.socket)
        async with raw_client(bridge, "global") as cut:
            await cut.send(frame("{}")[:3])
        await _has_connections(bridge, 0)


_SECRET = "hunter2hunter2"
_TO = "HTTP/1.1\r\nHost: localhost\r\n"
_UPGRADE = handshake(f"{PREFIX}/ws/global").decode().removesuffix("\r\n")
_POST = f"POST {PREFIX}/broadcast {_TO}"
_UNREADABLE: dict[str, tuple[str, int, str]] = {
    "TLS": ("\x16\x03\x01\x02\x00\x01" + _SECRET, 400, "invalid_http"),
    "no HTTP": (f"{_SECRET}\r\n\r\n", 400, "invalid_http"),
    "HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "invalid_http"),
    "no header": (f"GET / {_TO}{_SECRET} x\r\n\r\n", 400, "invalid_http"),
    "control characters": (f"GET / {_TO}x: {_SECRET}\0\r\n\r\n", 400, "invalid_http"),
    "a cookie of 84 KB": (f"GET / {_TO}Cookie: {_SECRET * 6000}\r\n\r\n", 400, "invalid_http"),
    "an address of 14 KB": (f"GET /{_SECRET * 1000} {_TO}\r\n", 400, "invalid_http"),
    "300 headers": (f"GET / {_TO}{_SECRET}: 1\r\n" + "x: 1\r\n" * 300 + "\r\n", 400, "invalid_http"),
    "no host": (f"GET /{_SECRET} HTTP/1.1\r\n\r\n", 400, "invalid_http"),
    "no address": (f"GET http://[{_SECRET}/ {_TO}\r\n", 400, "invalid_http"),
    "no length": (f"{_POST}Content-Length: {_SECRET}\r\n\r\n", 400, "invalid_http"),
    "no chunk": (f"{_POST}Transfer-Encoding: chunked\r\n\r\n{_SECRET}\r\n", 400, "invalid_http"),
    "no second chunk": (
        f"{_POST}Transfer-Encoding: chunked\r\n\r\n1\r\n {_SECRET}\r\n",
        400,
        "invalid_http",
    ),
    "no gzip": (
        f"{_POST}Content-Encoding: gzip\r\nContent-Length: {len(_SECRET)}\r\n\r\n{_SECRET}",
        400,
        "invalid_json",
    ),
    "no encoding": (
        f"{_POST}Content-Encoding: br\r\nContent-Length: {len(_SECRET)}\r\n\r\n{_SECRET}",
        400,
        "invalid_http",
    ),
    "behind a request": (f"GET /healthz {_TO}\r\n{_SECRET}\0\r\n\r\n", 400, "invalid_http"),
    "behind a refused handshake": (
        handshake(f"{PREFIX}/ws/global?since=x").decode() + f"{_SECRET}\0\r\n\r\n",
        400,
        "invalid_http",
    ),
    "an expectation": (f"{_POST}Expect: {_SECRET}\r\nConnection: close\r\n\r\n", 417, "expectation_failed"),
    "a path": (f"GET /{_SECRET} {_TO}Connection: close\r\n\r\n", 404, "not_found"),
    "a path of a WebSocket": (f"GET {PREFIX}/ws/{_SECRET} {_TO}Connection: close\r\n\r\n", 404, "not_found"),
    "a method": (f"DELETE /healthz {_TO}Connection: close\r\n\r\n", 405, "method_not_allowed"),
    "a subprotocol": (f"{_UPGRADE}Sec-WebSocket-Protocol: {_SECRET}\r\n\r\n", 101, ""),
}
"""By what is wrong: what is sent, and the last answer's status and code."""


async def test_a_request_that_cannot_be_read_is_counted_and_quoted_nowhere(
    nats_url: str, tmp_path: Path
) -> None:
    with serving(tmp_path, "serve", nats_url=nats_url, port=0) as bridge:
        client = await Client.of(bridge.bridge())
        found = {}
        for _ in range(2):
            for name, (text, _, _) in _UNREADABLE.items():
                answer = await _answer(client, text.encode("latin-1"))
                assert _SECRET not in answer, name
                last = answer[answer.rindex("HTTP/1.") :]
                head, _, body = last.partition("\r\n\r\n")
                found[name] = (int(head.split()[1]), json.loads(body)["code"] if body[:1] == "{" else "")
        await _cut_off(client, f"{_POST}Content-Length: 100\r\n\r\n{_SECRET}")
        _, metrics = await client.get("/metrics")

    assert found == {name: (status, code) for name, (_, status, code) in _UNREADABLE.items()}
    unreadable = sum(code == "invalid_http" for _, _, code in _UNREADABLE.values())
    assert f'crew_bridge_connections_refused_total{{code="invalid_http"}} {2 * unreadable}.0' in metrics
    assert _SECRET not in bridge.errors
    assert "Traceback" not in bridge.errors
    told = [line for line in bridge.errors.splitlines() if " refused: " in line]
    assert len(told) == 3, told
    assert "no HTTP request" in told[0]
    assert re.search("larger than 64 KiB.* why=LineTooLong", told[1])
    assert re.search("encoding that is not taken.* why=ContentEncodingError", told[2])


async def test_what_is_not_there_is_answered_as_all_refusals_are(bridge: Client) -> None:
    status, answer = await bridge.get(f"{PREFIX}/ws/none")
    assert (status, answer["code"]) == (404, "not_found")
    status, answer = await bridge.send("POST", "/metrics")
    assert (status, answer["code"]) == (405, "method_not_allowed")
    assert "Allow: GET,HEAD" in await _answer(bridge, f"PUT /metrics {_TO}Connection: close\r\n\r\n".encode())


async def test_a_fault_of_the_bridge_is_logged_and_answered_as_all_refusals_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(_: web.Request) -> web.Response:
        raise ZeroDivisionError(_SECRET)

    app = web.Application()
    app[SHORE] = Bridge(Settings()).shore
    app.router.add_get("/", fail)
    async with listening(app, "127.0.0.1", 0, room=10) as url:
        status, answer = await Client(Running(url, "")).get("/")
    assert (status, answer["code"]) == (500, "internal_server_error")
    assert _SECRET not in str(answer)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


async def _answer(bridge: Client, data: bytes) -> str:
    """All that comes, until the end of a handshake or of the connection."""
    async with _connected(bridge) as (reader, writer):
        writer.write(data)
        answer = b""
        async with asyncio.timeout(10):
            while b" 101 " not in answer and (more := await reader.read(1 << 16)):
                answer += more
        return answer.decode("latin-1")


async def _cut_off(bridge: Client, text: str) -> None:
    async with _connected(bridge) as (_, writer):
        writer.write(text.encode())
        await writer.drain()


@asynccontextmanager
async def _connected(bridge: Client) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(bridge.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def _reset_on_close(socket: Any) -> None:
    socket.setsockopt(1, 13, struct.pack("ii", 1, 0))


async def _has_connections(bridge: Client, count: int) -> None:
    async def look() -> bool:
        _, body = await bridge.get(f"{PREFIX}/connections")
        return bool(body["data"]["active_connections"] == count)

    await soon(look)


async def _closed_codes(bridge: Client) -> Json:
    """Connections closed, by code, once there are any."""

    async def look() -> Json | None:
        _, text = await bridge.get("/metrics")
        lines = [
            line for line in text.splitlines() if line.startswith("crew_bridge_connections_closed_total")
        ]
        counts = {line.split('"')[1]: float(line.split()[-1]) for line in lines}
        return {code: count for code, count in counts.items() if count}

    return await soon(look)

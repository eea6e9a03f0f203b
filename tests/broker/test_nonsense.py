"""Whatever a publisher gets past the server stops nobody: neither the feed nor who looks back."""

import asyncio
from urllib.parse import urlsplit

import pytest
from nats.aio.client import Client

from bridge.broker.connection import ConnectionEvents, connected
from bridge.broker.history import History
from bridge.broker.stream import ensure_stream
from contracts.subjects import ANY, Pattern
from tests.broker.sink import NAME, fill, reading, settings
from tests.nats_server import NatsServer
from tests.waiting import until

_ALL = frozenset({Pattern("task", ANY, ANY, ANY)})
_CONNECT = b'CONNECT {"verbose":false,"headers":true}\r\n'


def _with_headers(headers: bytes) -> bytes:
    return b"HPUB task.completed.c.e %d %d\r\n%bhi\r\n" % (len(headers), len(headers) + 2, headers)


async def _send(url: str, command: bytes) -> None:
    """What no client library would send; the server takes it."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(_CONNECT + command + b"PING\r\n")
    await reader.readuntil(b"PONG\r\n")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "command",
    [
        b"PUB task.completed.c.\xff 2\r\nhi\r\n",
        b"PUB task.completed.c.a\x0bb 2\r\nhi\r\n",
        _with_headers(b"NATS/1.0"),
        _with_headers(b"NATS/1.0 100\r\n\r\n"),
        _with_headers(b"NATS/1.0\r\nStatus: 100\r\n\r\n"),
        _with_headers(b"NATS/1.0 \xff\xff\xff\r\n\r\n"),
        _with_headers(b"abcd"),
    ],
    ids=["not UTF-8", "vertical tab", "cut", "control", "header of control", "no status", "no headers"],
)
async def test_a_message_that_no_client_would_send_passes_like_others(
    server: NatsServer, client: Client, command: bytes
) -> None:
    await ensure_stream(client, settings())
    await fill(client, 3)
    await client.jetstream().delete_msg(NAME, 3)
    await _send(server.url, command)
    await fill(client, 1, start=5)

    async with reading(server.url, heartbeat=0.2) as read:
        await until(lambda: read.feed.is_caught_up)
        await _send(server.url, command)
        await fill(client, 1, start=7)
        await until(lambda: read.feed.last_seq == 7)
    async with connected(server.url, "history", ConnectionEvents()) as another:
        epoch, _ = read.notes.begins[0]
        stretch = await History(another, NAME, max_bytes=10**6).read(epoch, _ALL, 0, 7)

    assert read.notes.seqs == [message.seq for message in stretch.messages] == [1, 2, 4, 5, 6, 7]
    assert [message.payload for message in stretch.messages if message.seq in (4, 6)] == [b"hi", b"hi"]
    assert not read.feed.resets

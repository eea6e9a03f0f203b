"""A WebSocket client by hand: it says what no library would say, and reads only when it is asked to."""

import asyncio
import json
import socket as sockets
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from tests.client import PREFIX, Client

Json = dict[str, Any]
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_MASK: Final = b"\x01\x02\x03\x04"
_LENGTHS: Final = {126: ">H", 127: ">Q"}
SMALL: Final = 4096
"""Bytes that the kernel holds for a client that shall be slow."""


def frame(payload: bytes | str, opcode: int = TEXT, *, fin: bool = True, masked: bool = True) -> bytes:
    """One frame of a client."""
    data = payload.encode() if isinstance(payload, str) else payload
    first, mask_bit = opcode | (0x80 if fin else 0), 0x80 if masked else 0
    if len(data) < 126:
        head = bytes((first, mask_bit | len(data)))
    elif len(data) < 1 << 16:
        head = bytes((first, mask_bit | 126)) + struct.pack(">H", len(data))
    else:
        head = bytes((first, mask_bit | 127)) + struct.pack(">Q", len(data))
    if not masked:
        return head + data
    return head + _MASK + bytes(byte ^ _MASK[i % 4] for i, byte in enumerate(data))


class RawClient:
    """One connection, of which nothing is read but on request."""

    def __init__(self, socket: sockets.socket) -> None:
        self.socket = socket
        self.first: Json = {}
        self._data = b""

    async def send(self, data: bytes) -> None:
        """Bytes, as they are."""
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. The end raises `EOFError`, a reset `ConnectionError`."""
        opcode, length = await self._exactly(2)
        if length in _LENGTHS:
            size = struct.calcsize(_LENGTHS[length])
            (length,) = struct.unpack(_LENGTHS[length], await self._exactly(size))
        return opcode & 0xF, await self._exactly(length)

    async def message(self) -> Json:
        """The next message that is not a heartbeat; pings are left unanswered."""
        while True:
            opcode, payload = await self.frame()
            assert opcode != CLOSE, payload
            if opcode == TEXT and b"connection.heartbeat" not in payload:
                message: Json = json.loads(payload)
                return message

    async def closing(self) -> tuple[int, str]:
        """Code and reason of the close frame, after whatever comes before it."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2]), payload[2:].decode()

    async def ends(self) -> str:
        """How the connection ends, after whatever comes before it: ``eof`` or ``reset``."""
        try:
            while await self._some():
                pass
        except ConnectionError:
            return "reset"
        return "eof"

    async def head(self) -> bytes:
        """The answer to the handshake."""
        while b"\r\n\r\n" not in self._data:
            self._data += await self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        return head

    async def _exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            self._data += await self._more()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    async def _more(self) -> bytes:
        data = await self._some()
        if not data:
            raise EOFError
        return data

    async def _some(self) -> bytes:
        async with asyncio.timeout(10):
            return await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16)


def handshake(path: str) -> bytes:
    """The request for a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


@asynccontextmanager
async def raw_client(
    bridge: Client, endpoint: str, *, receive_buffer: int | None = None, **query: object
) -> AsyncIterator[RawClient]:
    """Connected, with its first message read."""
    address = urlsplit(bridge.url)
    with sockets.socket() as socket:
        if receive_buffer is not None:
            socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_buffer)
        socket.setblocking(False)
        await asyncio.get_running_loop().sock_connect(socket, (address.hostname, address.port))
        client = RawClient(socket)
        await client.send(handshake(f"{address.path}{PREFIX}/ws/{endpoint}?{urlencode(query)}"))
        assert b" 101 " in await client.head()
        client.first = (await client.message())["data"]
        yield client

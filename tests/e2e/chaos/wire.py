"""One WebSocket connection of a browser, as cheap as can be: thousands fit into the process of a test."""

import asyncio
import json
import socket as sockets
import struct
from collections.abc import Iterator
from typing import Any, Protocol

_MASK = b"\x01\x02\x03\x04"
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_ABNORMAL = 1006
_SWITCHING = 101


class Listener(Protocol):
    """Who hears what comes."""

    def on_text(self, payload: bytes) -> None:
        """The payload of a message."""
        ...


class Wire(asyncio.Protocol):
    """Shakes hands, hands on what comes, answers pings, and knows how it ended."""

    def __init__(self, listener: Listener, path: str) -> None:
        self._listener = listener
        self._path = path
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[int] = loop.create_future()
        """The status of the answer to the handshake."""
        self.ended: asyncio.Future[None] = loop.create_future()
        self.code = _ABNORMAL
        self.reason: dict[str, Any] = {}
        """Of the close frame, as the JSON that it is."""
        self.retry_after = 0.0
        self.heard_at = loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_result(0)
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        data = self._rest + data if self._rest else data
        if not self.opened.done():
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            self._rest = b""
            self._shake_hands(head.decode())
            if self.opened.result() != _SWITCHING:
                return
        for opcode, payload in self._frames(data):
            self._take(opcode, payload)

    def say(self, command: dict[str, Any]) -> None:
        """Send a command."""
        self._write(_TEXT, json.dumps(command).encode())

    def pause(self) -> None:
        """Read nothing any more."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def cut(self) -> None:
        """End it, without a goodbye."""
        if self._transport is not None:
            self._transport.abort()

    def _shake_hands(self, head: str) -> None:
        status = int(head.split(" ", 2)[1])
        for line in head.splitlines():
            name, _, value = line.partition(":")
            if name.lower() == "retry-after":
                self.retry_after = float(value)
        self.opened.set_result(status)
        if status != _SWITCHING:
            self.cut()

    def _frames(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        place, size = 0, len(data)
        while size - place >= 2:
            length, head = data[place + 1], 2
            if length == 126:
                head, length = 4, int.from_bytes(data[place + 2 : place + 4])
            elif length == 127:
                head, length = 10, int.from_bytes(data[place + 2 : place + 10])
            if place + head + length > size or size - place < head:
                break
            yield data[place] & 0xF, data[place + head : place + head + length]
            place += head + length
        self._rest = data[place:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self._listener.on_text(payload)
        elif opcode == _PING:
            self._write(_PONG, payload)
        elif opcode == _CLOSE:
            self.code = int.from_bytes(payload[:2]) if payload else 1005
            self.reason = json.loads(payload[2:]) if payload[2:3] == b"{" else {}
            self._write(_CLOSE, payload[:2])

    def _write(self, opcode: int, payload: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        size = len(payload)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + struct.pack(">H", size)
        masked = bytes(byte ^ _MASK[i % 4] for i, byte in enumerate(payload))
        self._transport.write(bytes((0x80 | opcode,)) + length + _MASK + masked)


async def connect(
    listener: Listener, address: tuple[str, int], path: str, *, receive_buffer: int | None = None
) -> Wire:
    """Connect and shake hands; `OSError` where nobody listens. ``opened`` says whether it was let in."""
    loop = asyncio.get_running_loop()
    socket = sockets.socket()
    try:
        socket.setblocking(False)
        if receive_buffer is not None:
            socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_buffer)
        await loop.sock_connect(socket, address)
        _, wire = await loop.create_connection(lambda: Wire(listener, path), sock=socket)
    except BaseException:
        socket.close()
        raise
    return wire

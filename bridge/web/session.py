"""One WebSocket connection from its handshake to its end: the core's `Socket` over aiohttp."""

import asyncio
import socket as sockets
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from bridge.core.commands import answer, refusal
from bridge.core.connection import Connection
from bridge.core.frames import Opcode, frame
from bridge.core.hub import Hub
from bridge.core.socket import CloseCode
from bridge.web.seeking import Seek, found_for
from contracts.messages import Message

_ABNORMAL: Final = 1006
_SAID: Final = frozenset({WSMsgType.TEXT, WSMsgType.BINARY})
_LONGEST_CHARACTER: Final = 4
"""Bytes, in UTF-8."""
GOODBYE_SECONDS: Final = 2.0
"""How long a client has to answer a close before it is cut off."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as far as HTTP tells."""

    remote: str | None
    user_agent: str | None
    principal: str | None = None


NOBODY: Final = Peer(None, None)
"""Of a connection that is over."""


class Session:
    """Writes frames straight to the transport, and answers what the client says.

    Belongs to the task that handles the request: `close`, called from wherever, ends that task's waiting.
    """

    __slots__ = (
        "_ending",
        "_is_closing",
        "_is_over",
        "_send",
        "_task",
        "_transport",
        "_writer",
        "buffered",
        "close_code",
        "is_draining",
        "peer",
        "response",
    )

    def __init__(
        self,
        response: web.WebSocketResponse,
        writer: AbstractStreamWriter,
        transport: asyncio.Transport,
        peer: Peer,
    ) -> None:
        self.response = response
        self.peer = peer
        self._writer = writer
        self._transport = transport
        self._is_closing, self._send = transport.is_closing, transport.write
        self.buffered: Callable[[], int] = transport.get_write_buffer_size
        """Bytes that the kernel has not taken; the transport's own method: it is asked after each write."""
        self._task = asyncio.current_task()
        self._ending: tuple[int, str] | None = None
        self._is_over = False
        self.is_draining = False
        self.close_code = _ABNORMAL

    def write(self, data: bytes) -> None:
        """Whole frames, at once: nothing can come between."""
        is_closing, send = self._is_closing, self._send  # CPython calls what is in a variable faster
        if not is_closing():
            send(data)

    def close(self, code: int, reason: str) -> None:
        """Wake the task that listens, to say goodbye."""
        if self._ending is None and not self._is_over and self._task is not None:
            self._ending = (code, reason)
            self.close_code = int(code)
            if self._task is not asyncio.current_task():
                self._task.cancel()

    async def drained(self) -> None:
        """Wait until the buffer has room, or the connection is lost."""
        if self.buffered():
            with suppress(ConnectionError):
                # All who wait share one future, which must not be cancelled for one of them.
                await asyncio.shield(self._writer.drain())

    async def run(
        self, hub: Hub, connection: Connection, seek: Seek, *, max_errors: int, max_bytes: int
    ) -> None:
        """Listen until one side ends the connection, then end it properly.

        ``max_bytes``: the largest message that is heard. All in one coroutine: each that a connection waits
        in takes 0.3 KiB.
        """
        clock, code = asyncio.get_running_loop().time, None
        try:
            while code is None:
                message = await self.response.receive()
                connection.last_heard = clock()
                if message.type in _SAID and _is_larger(message.data, max_bytes):
                    hub.close(connection, WSCloseCode.MESSAGE_TOO_BIG, f"more than {max_bytes} bytes")
                    code = self.close_code
                else:
                    code = await self._hear(hub, connection, seek, message)
                if code is None and connection.errors > max_errors:
                    hub.close(connection, CloseCode.TOO_MANY_ERRORS, "too many refused messages")
                    code = self.close_code
            self.close_code = code
        except asyncio.CancelledError:
            if self._ending is None or self._task is None or self._task.uncancel():
                raise
        finally:
            self._is_over = True
            hub.close(connection, self.close_code, "")
        await self._say_goodbye()

    async def _hear(self, hub: Hub, connection: Connection, seek: Seek, message: WSMessage) -> int | None:
        """Deal with one message; returns the code that it ends the connection with, ours or the client's."""
        match message.type:
            case WSMsgType.TEXT:
                found = await found_for(seek, connection, message.data)
                self._answer(hub, connection, answer(hub, connection, message.data, found))
            case WSMsgType.BINARY:
                reason = "commands are JSON in text messages"
                self._answer(hub, connection, refusal(hub, connection, "binary_unsupported", reason))
            case WSMsgType.PING:
                connection.write(frame(message.data, Opcode.PONG), 0)
            case WSMsgType.PONG:
                pass
            case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                # Ours, for a breach of the protocol: aiohttp forgets it while it says goodbye.
                return int(message.data.code)
            case _:
                return int(self.response.close_code or _ABNORMAL)
        await self.drained()
        return None

    def _answer(self, hub: Hub, connection: Connection, message: Message) -> None:
        connection.say(message)
        hub.counters.messages_out += 1

    async def _say_goodbye(self) -> None:
        """Send the close frame and wait for the client's, for a while; then cut the connection."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                if self._ending is not None:
                    code, reason = self._ending
                    await self.response.close(code=code, message=reason.encode())
                await self._flushed()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self._cut()

    async def _flushed(self) -> None:
        """Wait until the kernel has taken everything."""
        if self.buffered():
            with suppress(RuntimeError):  # uvloop's, for a transport that is closed meanwhile
                self._transport.set_write_buffer_limits(high=0)
            await self._writer.drain()

    def _cut(self) -> None:
        """A peer that does not read must see the end all the same: reset instead of waiting in the kernel."""
        if self.buffered():
            raw = self._transport.get_extra_info("socket")
            with suppress(OSError):  # it may be closed already
                raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _is_larger(said: str | bytes, max_bytes: int) -> bool:
    """Whether a message, as it was before its compression, has more bytes."""
    if isinstance(said, str) and len(said) * _LONGEST_CHARACTER > max_bytes:
        return len(said.encode()) > max_bytes
    return len(said) > max_bytes

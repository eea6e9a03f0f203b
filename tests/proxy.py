"""A TCP proxy between a client and its server, which can cut, stall, and cut in the middle of a message."""

import asyncio
import socket as sockets
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Passes bytes between those who connect and ``target``, such as ``nats://127.0.0.1:4222``."""

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        self._scheme = address.scheme
        self._target = (address.hostname, address.port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._left: int | None = None
        self._is_mute = False
        self.url = ""
        self.connections = 0
        """Connections made so far."""

    def cut(self) -> None:
        """Reset all connections, now; new ones may be made at once."""
        self._left = None
        for writer in tuple(self._writers):
            socket = writer.get_extra_info("socket")
            if socket is not None and socket.fileno() >= 0:
                socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, _RESET)
            writer.transport.abort()

    def cut_after(self, size: int) -> None:
        """Reset all connections once so many more bytes have come from the server."""
        self._left = size

    def stall(self) -> None:
        """Pass nothing on, and keep all connections."""
        self._flows.clear()

    def mute(self) -> None:
        """Pass on what clients say, and no answer."""
        self._is_mute = True

    def resume(self) -> None:
        """Pass everything on again."""
        self._is_mute = False
        self._flows.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """Listens as long as this lasts."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"{self._scheme}://{host}:{port}"
        try:
            yield self
        finally:
            server.close()
            self.resume()
            self.cut()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self.connections += 1
        both = {writer, server_writer}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, server_writer, is_answer=False))
                tasks.create_task(self._pass(server_reader, writer, is_answer=True))
        except* OSError:
            pass
        finally:
            self._writers -= both
            for end in both:
                end.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        """Pass bytes on until one side ends, and end the other then."""
        while data := await reader.read(_CHUNK):
            await self._flows.wait()
            if is_answer and self._is_mute:
                continue
            if is_answer and self._left is not None:
                data, self._left = data[: self._left], self._left - len(data)
            writer.write(data)
            await writer.drain()
            if self._left is not None and self._left <= 0:
                self.cut()
        raise ConnectionResetError


@asynccontextmanager
async def proxied(target: str) -> AsyncIterator[Proxy]:
    """A proxy that runs as long as this lasts."""
    async with Proxy(target).running() as proxy:
        yield proxy

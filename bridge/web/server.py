"""The HTTP server around the application, from its first to its last connection."""

import asyncio
import logging
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, cast

import structlog
from aiohttp import web

from bridge.core.pauses import AwakeClock
from bridge.web.acceptor import SWEEP_SECONDS, Acceptor, Visitors
from bridge.web.protocol import HttpConnection
from bridge.web.shore import SHORE, Shore

log = structlog.get_logger(__name__)

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_SOCKET_BUFFER_BYTES: Final = 128 * 1024
"""What the kernel may hold for a client that does not read; left alone it takes up to 4 MiB."""
_HEADER_BYTES: Final = 64 * 1024
"""Of one header: the cookies of a proxy that asks who one is come to 16 KiB."""
_KEEP_ALIVE_SECONDS: Final = 620.0
"""How long a connection that was answered is kept for the next request: longer than proxies keep theirs, some
of them for 600, or they send one into a connection that is being closed. Where room is needed it goes sooner.
"""
_SHUTDOWN_SECONDS: Final = 1.0
"""How long a request may still take when the server closes; WebSockets were ended before."""


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, room: int, reuse_port: bool = False
) -> AsyncIterator[str]:
    """Serve ``app``; yields the URL of its page. A port that is taken raises `OSError`, which names it.

    ``room``: TCP connections at once, whatever is asked for on them. ``reuse_port``: other processes that say
    so too may listen there as well.
    """
    try:
        listener = _listener(host, port, reuse_port=reuse_port)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    host, port = listener.getsockname()[:2]
    runner = web.AppRunner(app, shutdown_timeout=_SHUTDOWN_SECONDS)
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)  # its warnings quote what clients send
    try:
        await runner.setup()
        async with _acceptor(runner, listener, app[SHORE], room).accepting():
            log.info("listening", host=host, port=port)
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        await runner.cleanup()
        listener.close()


def _acceptor(runner: web.AppRunner, listener: sockets.socket, shore: Shore, room: int) -> Acceptor:
    """Of the connections to an application that is set up."""
    server = cast(web.Server, runner.server)  # None before it is set up only
    server.request_handler = _telling(server.request_handler)
    loop, counters, refusals = asyncio.get_running_loop(), shore.hub.counters, shore.refusals
    visitors = Visitors(AwakeClock(loop.time, SWEEP_SECONDS), counters)
    connection = partial(
        HttpConnection,
        server,
        visitors,
        counters,
        refusals,
        loop=loop,
        access_log=None,
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        max_field_size=_HEADER_BYTES,
    )
    return Acceptor(listener, connection, visitors, refusals, room)


def _telling(handler: _Handler) -> _Handler:
    """``handler``, of whose calls the connection knows; no coroutine more for each WebSocket to wait in."""

    def handle(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        if isinstance(request.protocol, HttpConnection):
            request.protocol.asks()
        return handler(request)

    return handle


def _listener(host: str, port: int, *, reuse_port: bool) -> sockets.socket:
    """A bound socket whose connections inherit a small send buffer."""
    family, *_, address = sockets.getaddrinfo(host, port, type=sockets.SOCK_STREAM)[0]
    listener = sockets.socket(family, sockets.SOCK_STREAM)
    try:
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEPORT, 1)
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener

"""Takes TCP connections, no more than there are files for; who asks for nothing makes room for others.

Whoever connects takes a file, long before a request is read: a scanner, a broken balancer, a client that
sends its request byte by byte. An event loop's own server goes on until no file is left, not even for NATS.
"""

import asyncio
import errno
import socket as sockets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import takewhile
from typing import Final, Protocol

from bridge.core.counters import Counters
from bridge.web.refusals import Refusals

_BACKLOG: Final = 4096
_AT_ONCE: Final = 64
"""Connections taken in one turn of the event loop."""
REQUEST_SECONDS: Final = 15.0
"""How long a client may take for the head of its first request."""
IDLE_SECONDS: Final = 650.0
"""How long, after an answer, for the next request, or for taking it; aiohttp is done with most before."""
_GRACE_SECONDS: Final = 1.0
"""Who is here for so short a time makes no room for others: its request may be under way."""
SWEEP_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 1.0
_GONE: Final = {errno.EAGAIN, errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.EPERM}
"""`accept` says so where the client, and not this process, is the reason."""


class Visitor(Protocol):
    """One TCP connection, as far as it matters here."""

    def end(self) -> None:
        """End it, also where its client takes nothing; its file is free soon."""
        ...


class Visitors:
    """The TCP connections of one port, and which of them have no request in progress, since when.

    ``clock`` is in seconds that others could have used; ``on_left`` is called when one is gone.
    """

    def __init__(self, clock: Callable[[], float], counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._silent: dict[Visitor, float] = {}
        """Those that have not asked for anything yet, the oldest first."""
        self._idle: dict[Visitor, float] = {}
        """Those that were answered, the oldest first."""
        self.open = 0
        self.on_left: Callable[[], None] = lambda: None

    def came(self, visitor: Visitor) -> None:
        """Connected; it is counted as ``open`` already, since it was accepted."""
        self._silent[visitor] = self._clock()

    def asks(self, visitor: Visitor) -> None:
        """The head of a request was read."""
        self._silent.pop(visitor, None)
        self._idle.pop(visitor, None)

    def is_answered(self, visitor: Visitor) -> None:
        """There is an answer, which it may take or not."""
        self.asks(visitor)
        self._idle[visitor] = self._clock()

    def left(self, visitor: Visitor) -> None:
        """Disconnected."""
        self.asks(visitor)
        self.open -= 1
        self.on_left()

    def end_silent(self) -> None:
        """End those that were silent for too long."""
        now = self._clock()
        for visitor in (
            *_since(self._silent, now - REQUEST_SECONDS),
            *_since(self._idle, now - IDLE_SECONDS),
        ):
            self._end(visitor, "too_slow")

    def make_room(self) -> bool:
        """End the one that has been silent for longest; whether there was any."""
        oldest = self._clock() - _GRACE_SECONDS
        for some in (self._silent, self._idle):
            visitor, since = next(iter(some.items()), (None, 0.0))
            if visitor is not None and since <= oldest:
                self._end(visitor, "no_room")
                return True
        return False

    def _end(self, visitor: Visitor, why: str) -> None:
        if visitor in self._silent:
            self._counters.silent[why] += 1
        self.asks(visitor)
        visitor.end()


def _since(visitors: dict[Visitor, float], time: float) -> list[Visitor]:
    """Those of ``time`` and before; the oldest are in front."""
    return [visitor for visitor, _ in takewhile(lambda item: item[1] <= time, visitors.items())]


class Acceptor:
    """Accepts from ``listener``, up to ``room`` connections at once; ``make`` makes the protocol of each."""

    def __init__(
        self,
        listener: sockets.socket,
        make: Callable[[], asyncio.Protocol],
        visitors: Visitors,
        refusals: Refusals,
        room: int,
    ) -> None:
        self._listener = listener
        self._make = make
        self._visitors = visitors
        self._refusals = refusals
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._group = asyncio.TaskGroup()
        self._is_open = False
        self._is_waiting = True

    @asynccontextmanager
    async def accepting(self) -> AsyncIterator[None]:
        """Accept as long as this lasts; who is connected then stays."""
        self._listener.listen(_BACKLOG)
        self._listener.setblocking(False)
        async with self._group:
            sweeping = self._group.create_task(self._sweep_for_ever())
            self._visitors.on_left = self._resume
            self._is_open = True
            self._resume()
            try:
                yield
            finally:
                self._is_open = False
                self._wait()
                sweeping.cancel()

    def _resume(self) -> None:
        if self._is_open and self._is_waiting:
            self._is_waiting = False
            self._loop.add_reader(self._listener, self._accept)

    def _wait(self, seconds: float | None = None) -> None:
        """Accept nothing, until somebody has left, or so long; who wants to connect waits in the kernel."""
        if not self._is_waiting:
            self._is_waiting = True
            self._loop.remove_reader(self._listener)
        if seconds is not None:
            self._loop.call_later(seconds, self._resume)

    def _accept(self) -> None:
        """Take those that wait."""
        for _ in range(_AT_ONCE):
            if self._visitors.open >= self._room:
                self._refusals.tell(
                    "as many are connected as there is room for: those that ask for nothing are ended; raise "
                    "BRIDGE_MAX_CONNECTIONS, and the limit of open files (LimitNOFILE, ulimit -n)",
                    connections=str(self._visitors.open),
                )
                self._wait(None if self._visitors.make_room() else _GRACE_SECONDS)
                return
            try:
                socket, _ = self._listener.accept()
            except OSError as error:
                if error.errno not in _GONE:
                    self._refusals.tell("cannot take who connects", why=error.strerror)
                    self._wait(_RETRY_SECONDS)
                return
            self._visitors.open += 1
            self._group.create_task(self._connect(socket))

    async def _connect(self, socket: sockets.socket) -> None:
        socket.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._make, socket)
        except (OSError, RuntimeError):  # it has gone; the second is uvloop's
            socket.close()
            self._visitors.open -= 1

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._visitors.end_silent()

"""What the browser shore's handlers share: the hub, the limits, and who is connected by which session."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from random import random
from time import monotonic
from typing import Any, Final

from aiohttp import web

from bridge.core.admission import Admission
from bridge.core.connection import Connection
from bridge.core.goodbye import goodbyes
from bridge.core.hub import Hub
from bridge.core.socket import CloseCode
from bridge.core.start import Addressee, Found, Start
from bridge.core.sweep import Stale, Sweep
from bridge.core.view import View
from bridge.web.entrance import Entrance
from bridge.web.errors import refuse
from bridge.web.moves import Moves
from bridge.web.origin import Access
from bridge.web.refusals import Refusals
from bridge.web.seeking import Seek
from bridge.web.session import GOODBYE_SECONDS, NOBODY, Peer, Session

_SWEEP_SECONDS: Final = 1.0
_SOON: Final = 1.0
"""Seconds after which a bridge that starts or stops may be ready, or another one there."""
_WORDS: Final = {
    "too_many_connections": "the bridge serves as many clients as it can",
    "too_fast": "too many clients connect at once",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do."""

    buffer_bytes: int
    max_message_bytes: int
    max_errors: int
    heartbeat_seconds: float
    stale_seconds: float
    stalled_seconds: float
    access: Access
    max_connections: int
    max_sockets: int
    """TCP connections at once, whatever is asked for on them."""
    connections_per_second: float
    compress: bool


class Serving(AbstractContextManager[None]):
    """One connection's place among those that are served; smaller than a generator would be."""

    __slots__ = ("_connection", "_empty", "_session", "_sessions")

    def __init__(
        self,
        sessions: dict[Connection, Session],
        empty: asyncio.Event,
        connection: Connection,
        session: Session,
    ) -> None:
        self._sessions = sessions
        self._empty = empty
        self._connection = connection
        self._session = session

    def __enter__(self) -> None:
        self._sessions[self._connection] = self._session
        self._empty.clear()

    def __exit__(self, *_: object) -> None:
        del self._sessions[self._connection]
        if not self._sessions:
            self._empty.set()


class Shore:
    """The living part of the web application.

    ``probe`` says how the rest of the bridge is: ``ready`` whether the log is at the stream's head,
    ``filled`` whether it ever was, so that a client's cursor can be judged; the other keys are for people:
    ``reason`` says why the bridge is not ready, or what else is wrong.
    ``seek`` asks the stream where it has to.
    """

    def __init__(
        self, hub: Hub, limits: Limits, probe: Callable[[], Mapping[str, object]], seek: Seek
    ) -> None:
        self.hub = hub
        self.limits = limits
        self.probe = probe
        self.seek = seek
        self.moves = Moves(hub)
        self.refusals = Refusals()
        self.entrance = Entrance(limits.access, hub.counters, self.refusals)
        self.is_draining = False
        self.last_cleanup: datetime | None = None
        self._started = monotonic()
        self._admission = Admission(room=limits.max_connections, rate=limits.connections_per_second)
        self._sessions: dict[Connection, Session] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._tasks: asyncio.TaskGroup | None = None
        self._sweep = Sweep(
            hub,
            period=_SWEEP_SECONDS,
            interval=limits.heartbeat_seconds,
            stale_after=limits.stale_seconds,
            stalled_after=limits.stalled_seconds,
            buffer_limit=limits.buffer_bytes,
        )

    @property
    def is_ready(self) -> bool:
        """Whether a client that connects now is served from the stream's head."""
        return not self.is_draining and bool(self.probe().get("ready"))

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return monotonic() - self._started

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sweep, and wait for slow sockets, as long as this lasts."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            sweeping = tasks.create_task(self._sweep_for_ever())
            try:
                yield
            finally:
                sweeping.cancel()
                self._tasks = None

    def admit(self, request: web.Request) -> None:
        """Refuse a client that must not, or should not now, connect here."""
        self.entrance.check_host(request)
        if self.is_draining:
            raise self._refuse("draining", "the bridge is shutting down", _SOON)
        if not self.probe().get("filled"):
            raise self._refuse("starting", "the bridge has not read the stream yet", _SOON)
        stranger = self.entrance.check_page(request)
        if stranger is not None:
            self.hub.counters.refused["origin_refused"] += 1
            raise stranger
        refusal = self._admission.ask(len(self.hub.connections), monotonic())
        if refusal is not None:
            raise self._refuse(refusal.why, _WORDS[refusal.why], refusal.retry_after)

    async def find(self, client: Addressee, view: View, start: Start) -> Found:
        """Where a client that was admitted begins. Refuses it where that cannot be found out now."""
        try:
            found = await self.seek(client, view, start)
        except OSError:
            raise self._refuse("unavailable", "the stream does not answer", _SOON) from None
        if self.is_draining:
            raise self._refuse("draining", "the bridge is shutting down", _SOON)
        return found

    def serving(self, connection: Connection, session: Session) -> "Serving":
        """The connection is served by ``session`` as long as this context lasts."""
        return Serving(self._sessions, self._empty, connection, session)

    def peer_of(self, connection: Connection) -> Peer:
        """Who is at the other end."""
        session = self._sessions.get(connection)
        return NOBODY if session is None else session.peer

    def is_full(self, connection: Connection) -> bool:
        """Whether its socket has to drain before more is sent."""
        session = self._sessions.get(connection)
        return session is not None and session.is_draining

    def sweep(self, stale_after: float | None = None) -> list[Stale]:
        """Send heartbeats that are due, and end the connections that are stale, now; who they were."""
        ended = self._sweep.run(asyncio.get_running_loop().time(), stale_after)
        if ended:
            self.last_cleanup = datetime.now(UTC)
        return ended

    def on_full(self, connection: Connection) -> None:
        """The hub found the connection's socket full: tell it when there is room."""
        session = self._sessions.get(connection)
        if session is not None and self._tasks is not None and not session.is_draining:
            session.is_draining = True
            self._tasks.create_task(self._wait_for_room(connection, session))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for, as long as the bridge runs."""
        if self._tasks is None:
            work.close()
        else:
            self._tasks.create_task(work)

    async def send_away(self, seconds: float) -> None:
        """Let nobody in any more, and all go, one after the other; who is still here is served as ever.

        Returns when they are gone, after ``seconds`` at the latest.
        """
        self.is_draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._say_goodbyes(max(seconds - GOODBYE_SECONDS, seconds / 2))
                await self._empty.wait()

    async def _say_goodbyes(self, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        leaving = tuple(self.hub.connections.values())
        rate = self.limits.connections_per_second
        turns = goodbyes(len(leaving), seconds=seconds, rate=rate, random=random)
        for connection, turn in zip(leaving, turns, strict=True):
            await asyncio.sleep(began + turn.at - clock())
            self._say_goodbye(connection, turn.retry_after)

    def _say_goodbye(self, connection: Connection, retry_after: float) -> None:
        retry = {"reason": "the bridge is shutting down", "retry_after_ms": round(retry_after * 1000)}
        self.hub.send_away(connection, CloseCode.GOING_AWAY, json.dumps(retry))

    def _refuse(self, code: str, reason: str, seconds: float) -> web.HTTPException:
        """Come again in so many seconds."""
        self.hub.counters.refused[code] += 1
        return refuse(503, code, reason, Retry_After=str(ceil(seconds)))

    async def _wait_for_room(self, connection: Connection, session: Session) -> None:
        await session.drained()
        session.is_draining = False
        connection.last_heard = asyncio.get_running_loop().time()
        self.hub.drained(connection)

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.sweep()


SHORE: Final = web.AppKey("SHORE", Shore)

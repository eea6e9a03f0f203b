"""What the browser shore's handlers share: the hub, the limits, and who is connected by which session."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from aiohttp import web

from bridge.core.connection import Connection
from bridge.core.hub import Hub
from bridge.core.socket import CloseCode
from bridge.core.sweep import Sweep
from bridge.web.errors import refuse
from bridge.web.origin import is_allowed
from bridge.web.session import Session

_SWEEP_SECONDS: Final = 1.0
RETRY_AFTER_MS: Final = 1000
"""When clients of a bridge that shuts down should come back."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do."""

    buffer_bytes: int
    max_message_bytes: int
    max_errors: int
    heartbeat_seconds: float
    stale_seconds: float
    allowed_origins: tuple[str, ...]


class Shore:
    """The living part of the web application.

    ``probe`` says how the rest of the bridge is: ``ready`` whether the log is at the stream's head,
    ``filled`` whether it ever was, so that a client's cursor can be judged; the other keys are for people.
    """

    def __init__(self, hub: Hub, limits: Limits, probe: Callable[[], Mapping[str, object]]) -> None:
        self.hub = hub
        self.limits = limits
        self.probe = probe
        self.is_draining = False
        self.last_cleanup: datetime | None = None
        self._started = monotonic()
        self._sessions: dict[Connection, Session] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._tasks: asyncio.TaskGroup | None = None
        self._sweep = Sweep(
            hub,
            interval=limits.heartbeat_seconds,
            stale_after=limits.stale_seconds,
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
        if self.is_draining:
            raise _later("draining", "the bridge is shutting down")
        if not self.probe().get("filled"):
            raise _later("starting", "the bridge has not read the stream yet")
        if not is_allowed(request.headers.get("Origin"), request.host, self.limits.allowed_origins):
            raise refuse(403, "origin_refused", "pages of this origin may not connect")

    @contextmanager
    def serving(self, connection: Connection, session: Session) -> Iterator[None]:
        """The connection is served by ``session`` as long as this lasts."""
        self._sessions[connection] = session
        self._empty.clear()
        try:
            yield
        finally:
            del self._sessions[connection]
            if not self._sessions:
                self._empty.set()

    def on_full(self, connection: Connection) -> None:
        """The hub found the connection's socket full: tell it when there is room."""
        session = self._sessions.get(connection)
        if session is not None and self._tasks is not None and not session.is_draining:
            session.is_draining = True
            self._tasks.create_task(self._wait_for_room(connection, session))

    async def send_away(self, seconds: float) -> None:
        """Send every client away, to come back when another bridge is there; wait so long for them to go."""
        reason = json.dumps({"reason": "the bridge is shutting down", "retry_after_ms": RETRY_AFTER_MS})
        for connection in tuple(self.hub.connections.values()):
            self.hub.close(connection, CloseCode.GOING_AWAY, reason)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()

    async def _wait_for_room(self, connection: Connection, session: Session) -> None:
        await session.drained()
        session.is_draining = False
        connection.last_heard = asyncio.get_running_loop().time()
        self.hub.drained(connection)

    async def _sweep_for_ever(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            if self._sweep.run(clock()):
                self.last_cleanup = datetime.now(UTC)


def _later(code: str, reason: str) -> web.HTTPException:
    return refuse(503, code, reason, Retry_After=str(RETRY_AFTER_MS // 1000))


SHORE: Final = web.AppKey("SHORE", Shore)
